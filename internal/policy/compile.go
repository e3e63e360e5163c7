package policy

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Problem is an object, or the defaults, that is not in force.
type Problem struct {
	Kind     string // "Repository" or "CachedImage"; empty for the defaults
	Name     string // of the object
	Field    string // "spec.updateFilters[1]"
	Reason   string // what is wrong, and what to write
	Conflict bool   // the object is valid, but an older one of the same spec.name is in force instead
}

// Error says which object is not in force, and why.
func (p Problem) Error() string {
	if p.Kind == "" {
		return fmt.Sprintf("defaults: %s: %s", p.Field, p.Reason)
	}
	return fmt.Sprintf("%s %s: %s: %s", p.Kind, p.Name, p.Field, p.Reason)
}

// Compile makes the decisions of a state of the objects. An object that is not valid is left out and reported, and so is each
// Repository but the oldest of one spec.name (by creation timestamp, then by metadata.name; those without a timestamp
// keep the order they come in). Invalid defaults are reported, and check nothing.
func Compile(repositories []v1alpha1.Repository, images []v1alpha1.CachedImage, defaults Defaults) (*Set, []Problem) {
	c := compiler{
		set: &Set{
			rules: map[imageref.Repository]rule{}, named: map[namedTag]struct{}{}, unused: map[namedTag]bool{},
			pinned:   map[pinnedDigest]struct{}{},
			askedFor: map[imageref.Repository][]imageref.Repository{}, pins: Pins{},
		},
		owners:  map[imageref.Repository]string{},
		imageAt: map[imageref.Reference]int{},
	}
	c.addDefaults(defaults)
	for _, r := range byAge(repositories) {
		c.addRepository(r)
	}
	slices.SortFunc(c.set.periodic, compareRepositories)
	for _, image := range byAge(images) {
		c.addImage(image)
	}
	slices.SortFunc(c.set.images, func(a, b Image) int {
		return cmp.Compare(a.Reference.String(), b.Reference.String())
	})
	return c.set, c.problems
}

// object is a pointer to one of the kinds.
type object[T any] interface {
	*T
	metav1.Object
}

// byAge returns the objects from the oldest to the youngest; those that have no age come first, in the order given.
func byAge[T any, P object[T]](items []T) []P {
	sorted := make([]P, 0, len(items))
	for i := range items {
		sorted = append(sorted, &items[i])
	}
	slices.SortStableFunc(sorted, func(a, b P) int {
		timeA, timeB := a.GetCreationTimestamp(), b.GetCreationTimestamp()
		if timeA.IsZero() && timeB.IsZero() {
			return 0
		}
		return cmp.Or(timeA.Compare(timeB.Time), cmp.Compare(a.GetName(), b.GetName()))
	})
	return sorted
}

type compiler struct {
	set      *Set
	owners   map[imageref.Repository]string // which object is in force
	imageAt  map[imageref.Reference]int     // in set.images
	problems []Problem
}

func (c *compiler) addDefaults(d Defaults) {
	r, err := newDefaultRule(d)
	if err != nil {
		c.problems = append(c.problems, Problem{Field: "updateFilters", Reason: err.Error()})
		return
	}
	c.set.defaults = r
}

func (c *compiler) addRepository(object *v1alpha1.Repository) {
	repo, errs := parseRepository(object)
	if len(errs) > 0 {
		c.report(kindRepository, object.Name, errs...)
		return
	}
	if owner, taken := c.owners[repo]; taken {
		c.reportConflict(object.Name, owner, repo)
		return
	}
	rule, invalid := newRule(&object.Spec, &c.set.defaults)
	if invalid != nil {
		c.report(kindRepository, object.Name, invalid)
		return
	}
	c.owners[repo] = object.Name
	c.set.rules[repo] = rule
	c.addOrigins(repo, rule.origins)
	if rule.decision.Periodic {
		c.set.periodic = append(c.set.periodic, repo)
	}
}

// addImage adds the object's image, or to what another object wants of the same image.
func (c *compiler) addImage(object *v1alpha1.CachedImage) {
	ref, errs := parseImage(object)
	if len(errs) > 0 {
		c.report(kindCachedImage, object.Name, errs...)
		return
	}
	c.set.pins.add(ref, object.Spec.PinnedDigest)
	c.noteUse(ref, &object.Spec)
	if i, known := c.imageAt[ref]; known {
		c.set.images[i].Retain = c.set.images[i].Retain || object.Spec.Retain
		c.set.images[i].Pinned = cmp.Or(c.set.images[i].Pinned, digest.Digest(object.Spec.PinnedDigest)) // the oldest counts
		return
	}
	c.imageAt[ref] = len(c.set.images)
	c.set.images = append(c.set.images, Image{
		Reference: ref,
		Platforms: c.set.Platforms(ref.Repository),
		Retain:    object.Spec.Retain,
		Pinned:    digest.Digest(object.Spec.PinnedDigest),
	})
	if ref.Tag != "" {
		c.set.named[namedTag{ref.Repository, ref.Tag}] = struct{}{}
	}
	if ref.Digest != "" {
		c.set.pinned[pinnedDigest{ref.Repository, ref.Digest}] = struct{}{}
	}
}

// noteUse notes whether anybody uses a tag: an object that does not expire says so for all that name it.
func (c *compiler) noteUse(ref imageref.Reference, spec *v1alpha1.CachedImageSpec) {
	tag := namedTag{ref.Repository, ref.Tag}
	unused := ref.Digest == "" && spec.ExpiresAt != nil && !spec.Retain
	_, others := c.set.named[tag]
	c.set.unused[tag] = unused && (!others || c.set.unused[tag])
}

func (c *compiler) report(kind, name string, errs ...*field.Error) {
	for _, err := range errs {
		c.problems = append(c.problems, Problem{Kind: kind, Name: name, Field: err.Field, Reason: err.ErrorBody()})
	}
}

func (c *compiler) reportConflict(name, owner string, repo imageref.Repository) {
	c.problems = append(c.problems, Problem{
		Kind:     kindRepository,
		Name:     name,
		Field:    "spec.name",
		Reason:   fmt.Sprintf("Repository %s is in force for %s already: remove one of the two", owner, repo),
		Conflict: true,
	})
}
