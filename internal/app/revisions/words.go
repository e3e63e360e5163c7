package revisions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/larder-dev/larder/internal/cache"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// causes are the reasons for which a revision became current, in a person's words.
var causes = map[store.Cause]string{
	store.Pulled: "first pulled", store.Checked: "its origin moved the tag", store.Pinned: "pinned",
	store.Unpinned: "unpinned", store.Imported: "imported",
}

// showHistory lists what a tag is and was.
func showHistory(out io.Writer, ref imageref.Reference, t cache.Tag) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is %s\n%s\n\n", ref, is(t), origin(t))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "DIGEST\tSINCE\tLAST CONFIRMED\tSTORED WHOLE\tWHY")
	for _, r := range t.History {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.Digest, moment(r.FirstSeen), moment(r.LastSeen), moment(r.CompleteAt), causes[r.Cause])
	}
	_ = w.Flush() // b takes all
	_, err := out.Write(b.Bytes())
	return err
}

// showChange says what a tag was and is now.
func showChange(ctx context.Context, o Options, in place, before cache.Tag) error {
	after, err := in.tag(ctx, o.Image)
	if err != nil {
		return err
	}
	was := "was not cached"
	if before.Digest != "" {
		was = "was " + is(before)
	}
	_, err = fmt.Fprintf(o.Out, "%s\n  %s\n  is now %s\n  %s\n", o.Image, was, is(after), origin(after))
	return err
}

// is says what a tag is, since when, and whether it stays there.
func is(t cache.Tag) string {
	words := t.Digest.String()
	if len(t.History) > 0 && !t.History[0].FirstSeen.IsZero() {
		words += " since " + moment(t.History[0].FirstSeen)
	}
	switch {
	case t.Pin.By != "" && !t.Pin.At.IsZero():
		words += ", pinned at " + moment(t.Pin.At)
	case t.Pin.By != "":
		words += ", pinned"
	case t.Immutable:
		words += ", immutable"
	}
	return words
}

// origin says what the origin has beside that.
func origin(t cache.Tag) string {
	switch {
	case t.Upstream == "":
		return "what its origin has is not known yet"
	case t.CheckedAt.IsZero():
		return "its origin was not asked yet"
	case t.Upstream == t.Digest:
		return "its origin had the same at " + moment(t.CheckedAt)
	}
	return fmt.Sprintf("its origin had %s at %s", t.Upstream, moment(t.CheckedAt))
}

// moment is a time as a person reads it; nothing where there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
