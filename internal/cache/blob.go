package cache

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/cache/fetch"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/store"
)

// Blob is an open blob, or a part of one, stored or still arriving.
type Blob struct {
	Descriptor ocispec.Descriptor // of the whole blob; Size < 0 where nobody knows it yet
	Offset     int64
	Length     int64 // of this part; < 0: not known
	body       body
}

type body interface {
	io.WriterTo
	io.Closer
}

// WriteTo sends the part to w, by sendfile where that is possible. After an error the client must see a broken connection.
func (b *Blob) WriteTo(w io.Writer) (int64, error) { return b.body.WriteTo(w) }

// Close releases the blob.
func (b *Blob) Close() error { return b.body.Close() }

// ResolveBlob answers a blob's size and media type: from the store, else from the origin by HEAD.
func (c *Cache) ResolveBlob(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, Outcome, error) {
	if desc, belongs := c.member(ctx, repo, dgst); belongs {
		if b, err := c.openStored(ctx, repo, desc); err == nil {
			defer b.Close()
			desc.Size = b.Size
			return desc, never, nil
		}
	}
	confirmed, led, err := c.ask(ctx, repo, dgst)
	if err != nil {
		return ocispec.Descriptor{}, Outcome{Kind: Miss}, answer(err, CodeBlobUnknown)
	}
	return confirmed, missed(!led, false), nil
}

// Blob opens a blob, or the part of it that rng names: B1 to B8.
func (c *Cache) Blob(ctx context.Context, repo imageref.Repository, dgst digest.Digest, rng fetch.Range) (*Blob, Outcome, error) {
	if c.fetches.Runs(repo, dgst) {
		b, outcome, err := c.openFetch(ctx, repo, dgst, func(ctx context.Context) (*fetch.Reader, error) {
			return c.fetches.Join(ctx, repo, dgst, rng)
		})
		if b != nil || err != nil {
			return b, outcome, err
		}
	}
	desc, belongs := c.member(ctx, repo, dgst)
	if !belongs && c.holdsBlob(ctx, dgst) {
		if _, _, err := c.ask(ctx, repo, dgst); err != nil {
			return nil, Outcome{Kind: Miss}, answer(err, CodeBlobUnknown)
		}
		belongs = true
	}
	if belongs {
		if b, err := c.readFrom(ctx, repo, desc, rng); err == nil || errors.Is(err, ErrRange) {
			return b, never, err
		}
	}
	return c.fetchBlob(ctx, repo, desc, rng)
}

// member says whether a blob belongs to repo without asking the origin: it is linked there, or a manifest stored there names it (B6).
// Where the size is not known it is -1.
func (c *Cache) member(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, bool) {
	desc, err := c.store.LinkedBlob(ctx, repo, dgst)
	if err == nil && desc.Size >= 0 {
		return desc, true
	}
	if named, ok := c.names.find(ctx, repo, dgst); ok {
		return ocispec.Descriptor{Digest: dgst, Size: named.Size}, true // the media type is the origin's to say
	}
	return ocispec.Descriptor{Digest: dgst, Size: -1}, err == nil
}

// ask has the origin confirm that a blob belongs to repo, and tell its size.
func (c *Cache) ask(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, bool, error) {
	v, led, err := c.share(ctx, blobKey(repo, dgst), func(ctx context.Context) (any, error) {
		return c.origin.ResolveBlob(ctx, repo, dgst)
	})
	if err != nil {
		return ocispec.Descriptor{}, false, err
	}
	return v.(ocispec.Descriptor), led, nil
}

// confirmBlob says whether repo may have a blob that is on its way in another repository's name.
func (c *Cache) confirmBlob(ctx context.Context, repo imageref.Repository, dgst digest.Digest) error {
	if _, belongs := c.member(ctx, repo, dgst); belongs {
		return nil
	}
	_, _, err := c.ask(ctx, repo, dgst)
	return err
}

// openStored opens a stored blob that belongs to repo. It links first and looks then, as the sweep demands (M4).
func (c *Cache) openStored(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor) (*store.Blob, error) {
	linked, err := c.store.LinkedBlob(ctx, repo, desc.Digest)
	if err == nil {
		return c.store.OpenBlob(ctx, desc.Digest, max(linked.Size, desc.Size))
	}
	size, err := c.store.StatBlob(ctx, desc.Digest)
	if err != nil {
		return nil, err
	}
	if desc.Size >= 0 && desc.Size != size { // damaged, or a manifest is wrong: nothing to link
		return c.store.OpenBlob(ctx, desc.Digest, desc.Size)
	}
	desc.Size = size
	if err := c.store.LinkBlob(ctx, repo, desc); err != nil {
		c.log.Error(err, "linking a blob", "repository", repo.String(), "digest", desc.Digest)
	}
	return c.store.OpenBlob(ctx, desc.Digest, desc.Size)
}

// fetchBlob has the origin send a blob that is not stored, or joins the transfer that is running.
func (c *Cache) fetchBlob(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, rng fetch.Range) (*Blob, Outcome, error) {
	if err := c.remembered(blobKey(repo, desc.Digest)); err != nil {
		return nil, Outcome{Kind: Miss}, answer(err, CodeBlobUnknown)
	}
	return c.openFetch(ctx, repo, desc.Digest, func(ctx context.Context) (*fetch.Reader, error) {
		return c.fetches.Open(ctx, repo, desc, rng)
	})
}

// openFetch waits no longer for a reader than a client does. It returns no blob where open returns no reader.
func (c *Cache) openFetch(
	ctx context.Context, repo imageref.Repository, dgst digest.Digest, open func(context.Context) (*fetch.Reader, error),
) (*Blob, Outcome, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(answerTimeout, func() { cancel(context.DeadlineExceeded) })
	r, err := open(ctx)
	if !timer.Stop() && err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		err = context.DeadlineExceeded
	}
	if err != nil || r == nil {
		cancel(nil)
	}
	switch {
	case err != nil:
		c.remember(blobKey(repo, dgst), err)
		return partOf(r), Outcome{Kind: Miss}, answer(err, CodeBlobUnknown)
	case r == nil:
		return nil, Outcome{}, nil
	}
	b := partOf(r)
	b.body = &fetching{r, func() { cancel(nil) }}
	return b, missed(r.How == fetch.Joined, r.How == fetch.Started), nil
}

func blobKey(repo imageref.Repository, dgst digest.Digest) missKey {
	return missKey{repo: repo, what: "blob", name: string(dgst)}
}

func partOf(r *fetch.Reader) *Blob {
	if r == nil {
		return nil
	}
	return &Blob{Descriptor: r.Descriptor, Offset: r.Offset, Length: r.Length}
}

// fetching is a reader with the context that its waits end with.
type fetching struct {
	*fetch.Reader
	cancel func()
}

func (f *fetching) Close() error {
	f.cancel()
	return f.Reader.Close()
}

// readFrom opens the part of a stored blob that rng names. What is linked and known by its size costs object storage one request.
func (c *Cache) readFrom(ctx context.Context, repo imageref.Repository, desc ocispec.Descriptor, rng fetch.Range) (*Blob, error) {
	linked, err := c.store.LinkedBlob(ctx, repo, desc.Digest)
	if err == nil {
		desc.Size = max(linked.Size, desc.Size)
	}
	if err != nil || desc.Size < 0 {
		b, err := c.openStored(ctx, repo, desc)
		if err != nil {
			return nil, err
		}
		desc.Size = b.Size
		b.Close()
	}
	start, end, err := rng.Resolve(desc.Size)
	if err != nil {
		return c.outside(ctx, desc, err)
	}
	b, err := c.store.OpenBlobAt(ctx, desc.Digest, desc.Size, start)
	if err != nil {
		return nil, err
	}
	return &Blob{Descriptor: desc, Offset: start, Length: end - start, body: &stored{b, end - start}}, nil
}

// outside answers a range that lies outside a blob, if the blob is there.
func (c *Cache) outside(ctx context.Context, desc ocispec.Descriptor, err error) (*Blob, error) {
	b, missing := c.store.OpenBlob(ctx, desc.Digest, desc.Size)
	if missing != nil {
		return nil, missing
	}
	b.Close()
	return &Blob{Descriptor: desc}, err
}

// BlobURL returns where a client may get a stored blob of repo by itself. It is empty for what is not stored, or not known to belong to
// repo, and where the storage hands out no addresses.
func (c *Cache) BlobURL(ctx context.Context, repo imageref.Repository, dgst digest.Digest) (ocispec.Descriptor, string) {
	desc, belongs := c.member(ctx, repo, dgst)
	if !belongs {
		return desc, ""
	}
	b, err := c.openStored(ctx, repo, desc)
	if err != nil {
		return desc, ""
	}
	desc.Size = b.Size
	b.Close()
	url, err := c.store.BlobURL(ctx, dgst)
	if err != nil {
		c.log.Error(err, "redirecting to a blob", "repository", repo.String(), "digest", dgst)
	}
	return desc, url
}

// stored sends a part of a stored blob.
type stored struct {
	*store.Blob
	length int64
}

// WriteTo hands the file itself to w under exactly one LimitedReader: what net/http needs to see for sendfile.
func (s *stored) WriteTo(w io.Writer) (int64, error) {
	var src io.Reader = s.Blob
	if s.File != nil {
		src = s.File
	}
	n, err := io.Copy(w, &io.LimitedReader{R: src, N: s.length})
	if err == nil && n < s.length {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
