package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-dev/larder/internal/imageref"
)

// list is a stored answer to a discovery request, whole (D1).
type list[T any] struct {
	CheckedAt time.Time `json:"checkedAt"`
	Items     []T       `json:"items"`
}

// listing is one kind of list: how to ask for it, where it is stored, and what an origin's 404 means.
type listing[T any] struct {
	subject  subject
	document string
	unknown  Code
	ask      func(context.Context) ([]T, error)
}

// Tags lists all tags of the repository: D1.
func (c *Cache) Tags(ctx context.Context, repo imageref.Repository) ([]string, Outcome, error) {
	return answerList(ctx, c, listing[string]{
		subject:  subject{repo, tagsSubject, ""},
		document: "tags",
		unknown:  CodeNameUnknown,
		ask:      func(ctx context.Context) ([]string, error) { return c.origin.Tags(ctx, repo) },
	})
}

// Referrers lists what refers to a manifest: D1, D2.
func (c *Cache) Referrers(ctx context.Context, repo imageref.Repository, dgst digest.Digest) ([]ocispec.Descriptor, Outcome, error) {
	return answerList(ctx, c, listing[ocispec.Descriptor]{
		subject:  subject{repo, referrersSubject, string(dgst)},
		document: "referrers/" + strings.ReplaceAll(string(dgst), ":", "-"),
		unknown:  CodeManifestUnknown,
		ask: func(ctx context.Context) ([]ocispec.Descriptor, error) {
			return c.origin.Referrers(ctx, repo, dgst)
		},
	})
}

// answerList serves a list by the rules of tags: a stored one until its check is due, stale where the check fails. It is a function because
// methods have no type parameters.
func answerList[T any](ctx context.Context, c *Cache, l listing[T]) ([]T, Outcome, error) {
	have, err := readList(ctx, c, l)
	if err != nil {
		return missList(ctx, c, l)
	}
	interval := c.policies.Listing(l.subject.repo)
	if age := c.now().Sub(have.CheckedAt); age >= 0 && age < interval {
		return have.Items, Outcome{Kind: Hit, TTL: interval - age}, nil
	}
	why, err := c.confirm(ctx, listQuestion(c, l, interval))
	if err != nil {
		return nil, Outcome{}, err
	}
	if why != nil {
		return have.Items, c.stale(why), nil
	}
	if have, err = readList(ctx, c, l); err != nil {
		return missList(ctx, c, l) // lost in between
	}
	return have.Items, Outcome{Kind: Revalidated}, nil
}

func listQuestion[T any](c *Cache, l listing[T], interval time.Duration) question {
	return question{
		subject: l.subject,
		due: func(ctx context.Context) bool {
			have, err := readList(ctx, c, l)
			return err != nil || c.due(have.CheckedAt, interval)
		},
		ask: func(ctx context.Context) error {
			items, err := l.ask(ctx)
			if err != nil {
				return err
			}
			c.metrics.Checks.WithLabelValues("listed").Inc()
			keepList(ctx, c, l, items)
			return nil
		},
	}
}

// missList asks for a list that is not stored. Where that fails, so does the answer: a cache must not say "none" by accident.
func missList[T any](ctx context.Context, c *Cache, l listing[T]) ([]T, Outcome, error) {
	key := missKey{repo: l.subject.repo, what: l.document, name: l.subject.name}
	v, led, err := c.share(ctx, key, func(ctx context.Context) (any, error) {
		if have, err := readList(ctx, c, l); err == nil {
			return have.Items, nil // another brought it in since the caller looked
		}
		items, err := l.ask(ctx)
		c.holds.answered(l.subject, err)
		if err == nil {
			keepList(ctx, c, l, items)
		}
		return items, err
	})
	if err != nil {
		return nil, Outcome{Kind: Miss}, answer(err, l.unknown)
	}
	return v.([]T), missed(!led, led), nil
}

// keepList keeps what the origin answered, in memory and, where it is worth that, on disk: an empty list about something that is not
// here would let anybody fill the disk with questions about nothing.
func keepList[T any](ctx context.Context, c *Cache, l listing[T], items []T) {
	have := list[T]{CheckedAt: c.now(), Items: items}
	c.lists.Add(l.subject, have)
	if len(items) == 0 && !c.holdsReferred(ctx, l.subject) {
		return
	}
	content, err := json.Marshal(have)
	if err == nil {
		err = c.store.PutDocument(ctx, l.subject.repo, l.document, content)
	}
	if err != nil {
		c.log.Error(err, "storing a list", "repository", l.subject.repo.String(), "reference", l.subject.name)
	}
}

// holdsReferred says whether the manifest that a list of referrers is about is stored.
func (c *Cache) holdsReferred(ctx context.Context, s subject) bool {
	if s.kind != referrersSubject {
		return false
	}
	_, err := c.store.LinkedManifest(ctx, s.repo, digest.Digest(s.name))
	return err == nil
}

// readList returns the list that was kept last. Its items belong to all who read them.
func readList[T any](ctx context.Context, c *Cache, l listing[T]) (list[T], error) {
	if v, ok := c.lists.Get(l.subject); ok {
		return v.(list[T]), nil
	}
	var have list[T]
	content, err := c.store.Document(ctx, l.subject.repo, l.document)
	if err != nil {
		return have, err
	}
	if err := json.Unmarshal(content, &have); err != nil {
		return have, fmt.Errorf("reading %s of %s: %w", l.document, l.subject.repo, err)
	}
	c.lists.Add(l.subject, have)
	return have, nil
}
