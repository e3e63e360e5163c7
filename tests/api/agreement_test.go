package api_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/tests/api"
)

// verdict has the API server judge an object, and create nothing. blocked says that it stopped before its CEL rules.
func verdict(t *testing.T, object client.Object) (wrong []string, blocked bool) {
	t.Helper()
	err := cluster.Create(t.Context(), object, client.DryRunAll)
	if err == nil {
		return nil, false
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		t.Fatalf("creating %+v: %v", object, err)
	}
	for _, cause := range status.ErrStatus.Details.Causes {
		if strings.Contains(cause.Message, "some validation rules were not checked") {
			blocked = true
			continue
		}
		wrong = append(wrong, cause.Field)
	}
	slices.Sort(wrong)
	return slices.Compact(wrong), blocked
}

func fieldsOf(errs field.ErrorList) []string {
	var wrong []string
	for _, err := range errs {
		wrong = append(wrong, err.Field)
	}
	slices.Sort(wrong)
	return slices.Compact(wrong)
}

// agrees fails where the API server finds other fields wrong than want. One that stopped early may have found fewer, but not none.
func agrees(t *testing.T, object client.Object, what any, want []string) {
	t.Helper()
	got, blocked := verdict(t, object)
	if blocked && len(want) > 0 {
		want = slices.DeleteFunc(slices.Clone(want), func(f string) bool { return !slices.Contains(got, f) })
	}
	if diff := cmp.Diff(want, got); diff != "" || blocked && len(got) == 0 {
		t.Errorf("fields that are wrong in %+v (-Validate +API server):\n%s", what, diff)
	}
}

func repositoryOf(spec v1alpha1.RepositorySpec) *v1alpha1.Repository {
	return &v1alpha1.Repository{ObjectMeta: metav1.ObjectMeta{Name: "judged"}, Spec: spec}
}

func imageOf(source string) *v1alpha1.CachedImage {
	return &v1alpha1.CachedImage{ObjectMeta: metav1.ObjectMeta{Name: "judged"}, Spec: v1alpha1.CachedImageSpec{SourceImage: source}}
}

func TestRepositories_TheAPIServerAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	for name, c := range api.Repositories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := slices.Sorted(slices.Values(c.Wrong))
			agrees(t, repositoryOf(c.Spec), c.Spec, want)
		})
	}
}

func TestImages_TheAPIServerAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	for image, valid := range api.Images() {
		var want []string
		if !valid {
			want = []string{"spec.sourceImage"}
		}
		agrees(t, imageOf(image), image, want)
	}
}

func TestRepositories_TheAPIServerAgreesWithValidateOnAnyMixture(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var pool []v1alpha1.RepositorySpec
	for _, c := range api.Repositories() {
		pool = append(pool, c.Spec)
	}
	slices.SortFunc(pool, compareSpecs)
	pick := func() v1alpha1.RepositorySpec { return pool[random.IntN(len(pool))] }
	for range 500 {
		timing := pick()
		spec := v1alpha1.RepositorySpec{
			Name: "a", UpdateInterval: timing.UpdateInterval, UpdateMode: timing.UpdateMode, MaxStale: pick().MaxStale, Access: "Shared",
		}
		switch random.IntN(4) { // two more fields at most, so that a good part is valid
		case 0:
			spec.Name, spec.UpdateFilters = pick().Name, pick().UpdateFilters
		case 1:
			spec.Platforms, spec.PullSecretNames = pick().Platforms, pick().PullSecretNames
		case 2:
			spec.UpdateInterval, spec.UpdateMode = pick().UpdateInterval, pick().UpdateMode
		}
		object := repositoryOf(spec)
		agrees(t, object.DeepCopy(), spec, fieldsOf(object.Validate()))
	}
}

func TestImages_TheAPIServerAgreesWithValidateOnAnyText(t *testing.T) {
	t.Parallel()
	mutants := mutantsOf(rand.New(rand.NewPCG(3, 4)), goodImages())
	for range 500 {
		image := imageOf(mutants())
		agrees(t, image.DeepCopy(), image.Spec.SourceImage, fieldsOf(image.Validate()))
	}
}

// What a pod may name must become an object, or its controller would try for ever.
func TestImages_WhatParsesIsAccepted(t *testing.T) {
	t.Parallel()
	mutants := mutantsOf(rand.New(rand.NewPCG(5, 6)), goodImages())
	parsed := 0
	for range 20_000 {
		image := mutants()
		ref, err := imageref.Parse(image)
		if err != nil {
			continue
		}
		parsed++
		if errs := imageOf(ref.String()).Validate(); len(errs) > 0 {
			t.Errorf("the image %q: %v", ref, errs)
		}
		if errs := imageOf(image).Validate(); len(errs) > 0 {
			t.Errorf("the image %q: %v", image, errs)
		}
		if errs := repositoryOf(v1alpha1.RepositorySpec{Name: ref.Repository.String()}).Validate(); len(errs) > 0 {
			t.Errorf("the repository %q: %v", ref.Repository, errs)
		}
	}
	if parsed < 2_000 {
		t.Errorf("%d images parsed, want enough to tell", parsed)
	}
}

// What no regular expression can say is left to the parser, and becomes a status.
func TestImages_WhatIsAcceptedParses(t *testing.T) {
	t.Parallel()
	mutants := mutantsOf(rand.New(rand.NewPCG(7, 8)), goodImages())
	for range 20_000 {
		image := mutants()
		if len(imageOf(image).Validate()) > 0 {
			continue
		}
		_, err := imageref.Parse(image)
		if err != nil && !strings.Contains(err.Error(), "IPv6") && !strings.Contains(err.Error(), "characters long") {
			t.Errorf("%q is accepted, but: %v", image, err)
		}
	}
}

func goodImages() []string {
	var good []string
	for image, valid := range api.Images() {
		if valid {
			good = append(good, image)
		}
	}
	slices.Sort(good)
	return good
}

// mutantsOf makes texts that are nearly one of the seeds.
func mutantsOf(random *rand.Rand, seeds []string) func() string {
	const alphabet = "aZ05./:@_-[] "
	return func() string {
		text := []byte(seeds[random.IntN(len(seeds))])
		for range random.IntN(4) {
			at := random.IntN(len(text) + 1)
			letter := alphabet[random.IntN(len(alphabet))]
			switch random.IntN(3) {
			case 0:
				text = slices.Insert(text, at, letter)
			case 1:
				text = slices.Delete(text, at, min(at+1+random.IntN(3), len(text)))
			default:
				if at < len(text) {
					text[at] = letter
				}
			}
		}
		return string(text)
	}
}

func compareSpecs(a, b v1alpha1.RepositorySpec) int {
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}
