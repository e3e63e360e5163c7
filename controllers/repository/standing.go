package repository

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/larder-dev/larder/api/v1alpha1"
	"github.com/larder-dev/larder/internal/imageref"
	"github.com/larder-dev/larder/internal/policy"
	"github.com/larder-dev/larder/internal/status"
	"github.com/larder-dev/larder/internal/usage"
)

// listed is how many of the images that remain a condition names.
const listed = 5

// standing is how a Repository stands among those of its name.
type standing struct {
	repo     imageref.Repository
	images   []v1alpha1.CachedImage // of the repository, whoever is in force
	problems []policy.Problem       // why it is not in force
	heir     bool                   // whether another one comes into force when it goes
	yields   bool                   // whether it makes room for a person's
}

func (s *standing) inForce() bool { return len(s.problems) == 0 }

// family lists the Repositories of an object's name, itself among them, and the images of that name.
func (r *Reconciler) family(ctx context.Context, object *v1alpha1.Repository) (s standing, peers []v1alpha1.Repository, err error) {
	alone := []v1alpha1.Repository{*object}
	var ok bool
	if s.repo, _, ok = repositoryOf(object); !ok {
		return s, alone, nil // it will be found invalid
	}
	if s.images, err = usage.CachedImagesOf(ctx, r.client, s.repo); err != nil {
		return s, nil, err
	}
	if peers, err = usage.Repositories(ctx, r.client, s.repo); err != nil {
		return s, nil, err
	}
	if !slices.ContainsFunc(peers, func(peer v1alpha1.Repository) bool { return peer.Name == object.Name }) {
		peers = alone // it is gone from the cache since it was read there
	}
	return s, peers, nil
}

// status is what is to be said of the object.
func (s *standing) status(object *v1alpha1.Repository, now time.Time) v1alpha1.RepositoryStatus {
	desired := v1alpha1.RepositoryStatus{Images: new(int32), ObservedGeneration: object.Generation}
	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		status.Set(&desired.Conditions, object.Status.Conditions, now, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: object.Generation,
		})
	}
	if !s.inForce() {
		reason, message := s.blame()
		desired.Phase = v1alpha1.RepositoryPhase(reason)
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
		set(v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
		return desired
	}
	desired.Phase = v1alpha1.RepositoryReady
	*desired.Images = int32(len(s.images))
	desired.LastUpdate = lastUpdate(s.images)
	set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonInForce, "in force for "+s.repo.String())
	if !object.DeletionTimestamp.IsZero() {
		desired.Phase = v1alpha1.RepositoryTerminating
		set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonImagesRemain, remain(s.images))
	}
	return desired
}

// blame says why the Repository is not in force; the reason is the phase too.
func (s *standing) blame() (reason, message string) {
	reason = v1alpha1.ReasonInvalid
	var messages []string
	for _, p := range s.problems {
		if p.Conflict {
			reason = v1alpha1.ReasonConflict
		}
		messages = append(messages, p.Field+": "+p.Reason)
	}
	return reason, strings.Join(messages, "; ")
}

// lastUpdate is when one of the images was last brought in.
func lastUpdate(images []v1alpha1.CachedImage) *metav1.Time {
	var last *metav1.Time
	for i := range images {
		if pull := images[i].Status.LastSuccessfulPull; last == nil || last.Before(pull) {
			last = pull
		}
	}
	return last
}

// remain says which images hold a Repository that is deleted, and what to do.
func remain(images []v1alpha1.CachedImage) string {
	var names []string
	for _, image := range images[:min(len(images), listed)] {
		names = append(names, image.Name)
	}
	list := strings.Join(names, ", ")
	if more := len(images) - listed; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("waits until its CachedImages are gone: %s. Delete them, after the pods that use them: what a pod uses comes back", list)
}
