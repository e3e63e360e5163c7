package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	maxKnown   = 4096             // secrets held in memory
	maxReads   = 8                // secrets read at a time for one lookup
	secretTTL  = 2 * time.Second  // repositories that share a secret read it once; one that was replaced is noticed at once
	retryAfter = 10 * time.Second // when an API server that did not answer is asked again for a secret that is known
)

// secrets reads pull secrets by their names.
type secrets struct {
	reader client.Reader
	log    logr.Logger
	now    func() time.Time
	flight singleflight.Group
	known  *lru.Cache[types.NamespacedName, secret]
}

// secret is what is known of a pull secret.
type secret struct {
	entries []entry
	problem string    // why it is skipped, or some of it
	until   time.Time // when it is to be asked again
	err     error     // why it could not be asked the last time
}

func newSecrets(reader client.Reader, log logr.Logger) *secrets {
	s := &secrets{reader: reader, log: log, now: time.Now}
	s.known, _ = lru.New[types.NamespacedName, secret](maxKnown) // errs for a size below one only
	return s
}

// read returns the entries of secrets, in their order. Those that are missing or malformed have none. Where the API server does not
// answer, the error comes with what is known.
func (s *secrets) read(ctx context.Context, names []types.NamespacedName) ([]entry, error) {
	found := make([]secret, len(names))
	var wg sync.WaitGroup
	places := make(chan struct{}, maxReads)
	for i, name := range names {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			found[i] = s.get(ctx, name)
		})
	}
	wg.Wait()
	var entries []entry
	var failed []error
	for i, secret := range found {
		for _, e := range secret.entries {
			e.from = names[i]
			entries = append(entries, e)
		}
		failed = append(failed, secret.err)
	}
	return entries, errors.Join(failed...)
}

// get returns one secret: what was read a moment ago, or what the API server says. The question belongs to none of those who share it.
func (s *secrets) get(ctx context.Context, name types.NamespacedName) secret {
	if known, ok := s.known.Get(name); ok && s.now().Before(known.until) {
		return known
	}
	done := s.flight.DoChan(name.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout)
		defer cancel()
		return s.ask(ctx, name), nil
	})
	select {
	case r := <-done:
		return r.Val.(secret)
	case <-ctx.Done():
		return s.outage(name, ctx.Err())
	}
}

// ask reads a secret from the API server.
func (s *secrets) ask(ctx context.Context, name types.NamespacedName) secret {
	var object corev1.Secret
	err := s.reader.Get(ctx, name, &object)
	answer := secret{until: s.now().Add(secretTTL)}
	switch {
	case err == nil:
		answer.entries, answer.problem = parse(&object)
	case apierrors.IsNotFound(err):
		answer.problem = "it does not exist"
	case apierrors.IsForbidden(err):
		answer.problem = "Larder may not read it"
	default:
		return s.outage(name, err)
	}
	known, _ := s.known.Peek(name)
	if answer.problem != "" && answer.problem != known.problem {
		s.log.Info("pull secret skipped", "namespace", name.Namespace, "secret", name.Name, "reason", answer.problem)
	}
	s.known.Add(name, answer)
	return answer
}

// outage returns what was known of a secret before the API server stopped answering.
func (s *secrets) outage(name types.NamespacedName, cause error) secret {
	err := fmt.Errorf("reading secret %s: %w", name, cause)
	known, ok := s.known.Peek(name)
	if !ok {
		return secret{err: err}
	}
	known.until, known.err = s.now().Add(retryAfter), err
	s.known.Add(name, known)
	return known
}
