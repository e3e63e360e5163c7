// Package grants is larder grants: it lists what origins have granted to the pods of a cluster, and ends it, in a data folder by itself or,
// where another process owns the folder, through that one (rule P4).
package grants

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"

	"github.com/larder-dev/larder/internal/app/beside"
	"github.com/larder-dev/larder/internal/grant"
	"github.com/larder-dev/larder/internal/options/serve"
)

// Options say which folder, and where to say what.
type Options struct {
	serve.Cache           // the folder
	Out         io.Writer // takes the grants
	Remarks     io.Writer // takes what else a person may want to know
}

// List says on o.Out what is granted of repositories; of none given, of all.
func List(ctx context.Context, o Options, repositories []string, log logr.Logger) error {
	on, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "looking", Remarks: o.Remarks}, log)
	if err != nil {
		return err
	}
	listed, err := on.Grants(ctx, repositories)
	if err = errors.Join(err, release()); err != nil {
		return err
	}
	if len(listed) == 0 {
		_, err = fmt.Fprintln(o.Remarks, "Nothing is granted.")
		return err
	}
	return show(o.Out, listed)
}

// Revoke ends grants, and says on o.Out which. That there is none is an error.
func Revoke(ctx context.Context, o Options, r grant.Revocation, log logr.Logger) error {
	on, release, err := beside.Reach(ctx, beside.Options{Cache: o.Cache, Doing: "revoking", Remarks: o.Remarks}, log)
	if err != nil {
		return err
	}
	revoked, err := on.Revoke(ctx, r)
	if err = errors.Join(err, release()); err != nil {
		return err
	}
	if len(revoked) == 0 {
		return fmt.Errorf("nothing like that is granted of %s: larder grants list says what is", r.Repository)
	}
	if err := show(o.Out, []grant.Listed{{Repository: r.Repository, Grants: revoked}}); err != nil {
		return err
	}
	_, err = fmt.Fprintln(o.Remarks, "That is revoked here. Who held it is asked for at the origin again, and may pull again where that says yes: revoke it there too.")
	return err
}

func show(out io.Writer, listed []grant.Listed) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "REPOSITORY\tGRANT\tNAMESPACES\tSINCE") // told at Flush
	for _, l := range listed {
		for _, g := range l.Grants {
			namespaces := strings.Join(g.Namespaces, ",")
			if !g.OfPods() {
				namespaces = "(all)"
			}
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.Repository, g.ID, namespaces, g.GrantedAt.UTC().Format(time.RFC3339))
		}
	}
	return table.Flush()
}
