package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/durable"
)

// objects are what policies are made of, and what a snapshot holds.
type objects struct {
	Repositories []v1alpha1.Repository  `json:"repositories"`
	CachedImages []v1alpha1.CachedImage `json:"cachedImages"`
}

// snapshot is a file with objects. It is for one goroutine at a time.
type snapshot struct {
	path    string
	text    []byte // as it was written last
	written time.Time
}

// read returns what the file holds; nothing where there is none.
func (s *snapshot) read() (objects, error) {
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return objects{}, nil
	}
	if err != nil {
		return objects{}, fmt.Errorf("reading the last known policies: %w", err)
	}
	var kept objects
	if err := json.Unmarshal(text, &kept); err != nil {
		return objects{}, fmt.Errorf("reading the last known policies from %s: %w", s.path, err)
	}
	s.text = text
	return kept, nil
}

// write keeps objects, unless they are kept already. Where it is too early for another write, wait says how long still.
func (s *snapshot) write(o objects, now time.Time) (wait time.Duration, err error) {
	text, err := json.Marshal(lean(o))
	if err != nil {
		return 0, fmt.Errorf("encoding the policies: %w", err)
	}
	if bytes.Equal(text, s.text) {
		return 0, nil
	}
	if early := snapshotEvery - now.Sub(s.written); early > 0 {
		return early, nil
	}
	s.written = now
	if err := durable.Replace(s.path, text); err != nil {
		return 0, fmt.Errorf("keeping the policies for a start without the API server: %w", err)
	}
	s.text = text
	return 0, nil
}

// lean leaves of objects what policies depend on, in the order of their names: a cache has none.
func lean(o objects) objects {
	l := objects{
		Repositories: make([]v1alpha1.Repository, 0, len(o.Repositories)),
		CachedImages: make([]v1alpha1.CachedImage, 0, len(o.CachedImages)),
	}
	for i := range o.Repositories {
		l.Repositories = append(l.Repositories, v1alpha1.Repository{ObjectMeta: leanMeta(&o.Repositories[i].ObjectMeta), Spec: o.Repositories[i].Spec})
	}
	for i := range o.CachedImages {
		spec := v1alpha1.CachedImageSpec{SourceImage: o.CachedImages[i].Spec.SourceImage, Retain: o.CachedImages[i].Spec.Retain,
			PinnedDigest: o.CachedImages[i].Spec.PinnedDigest}
		l.CachedImages = append(l.CachedImages, v1alpha1.CachedImage{ObjectMeta: leanMeta(&o.CachedImages[i].ObjectMeta), Spec: spec})
	}
	slices.SortFunc(l.Repositories, func(a, b v1alpha1.Repository) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.CachedImages, func(a, b v1alpha1.CachedImage) int { return strings.Compare(a.Name, b.Name) })
	return l
}

func leanMeta(m *metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: m.Name, CreationTimestamp: m.CreationTimestamp}
}
