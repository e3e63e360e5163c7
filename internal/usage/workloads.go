package usage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/larder-dev/larder/internal/imageref"
)

// workload is a kind of objects that make pods of a template.
type workload struct {
	kind     string
	object   client.Object
	list     func() client.ObjectList
	template func(client.Object) *corev1.PodTemplateSpec // nil: it makes no pods any more
}

func workloads() []workload {
	return []workload{
		workloadOf("ControllerRevision", func() client.ObjectList { return &appsv1.ControllerRevisionList{} }, revisionTemplate),
		workloadOf("CronJob", func() client.ObjectList { return &batchv1.CronJobList{} },
			func(w *batchv1.CronJob) *corev1.PodTemplateSpec { return &w.Spec.JobTemplate.Spec.Template }),
		workloadOf("DaemonSet", func() client.ObjectList { return &appsv1.DaemonSetList{} },
			func(w *appsv1.DaemonSet) *corev1.PodTemplateSpec { return &w.Spec.Template }),
		workloadOf("Deployment", func() client.ObjectList { return &appsv1.DeploymentList{} },
			func(w *appsv1.Deployment) *corev1.PodTemplateSpec { return &w.Spec.Template }),
		workloadOf("Job", func() client.ObjectList { return &batchv1.JobList{} }, jobTemplate),
		workloadOf("ReplicaSet", func() client.ObjectList { return &appsv1.ReplicaSetList{} },
			func(w *appsv1.ReplicaSet) *corev1.PodTemplateSpec { return &w.Spec.Template }),
		workloadOf("StatefulSet", func() client.ObjectList { return &appsv1.StatefulSetList{} },
			func(w *appsv1.StatefulSet) *corev1.PodTemplateSpec { return &w.Spec.Template }),
	}
}

func workloadOf[T any, P interface {
	*T
	client.Object
}](kind string, list func() client.ObjectList, template func(P) *corev1.PodTemplateSpec) workload {
	return workload{kind: kind, object: P(new(T)), list: list, template: func(object client.Object) *corev1.PodTemplateSpec {
		if w, ok := object.(P); ok {
			return template(w)
		}
		return nil
	}}
}

// jobTemplate is the template of a Job that has not finished: one that is suspended too.
func jobTemplate(job *batchv1.Job) *corev1.PodTemplateSpec {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return &job.Spec.Template
}

// revisionData is what the ControllerRevisions of DaemonSets and StatefulSets hold.
type revisionData struct {
	Spec struct {
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

// revisionTemplate is the template of a DaemonSet's or StatefulSet's revision. Others use ControllerRevisions for what they like.
func revisionTemplate(revision *appsv1.ControllerRevision) *corev1.PodTemplateSpec {
	var data revisionData
	if json.Unmarshal(revision.Data.Raw, &data) != nil {
		return nil
	}
	return &data.Spec.Template
}

// Workloads lists the kinds whose templates keep images: CronJobs, DaemonSets, Deployments, Jobs that have not finished, StatefulSets, and
// the kept revisions of workloads (ControllerRevisions, ReplicaSets), however many pods they are scaled to.
func Workloads() []client.Object {
	var objects []client.Object
	for _, w := range workloads() {
		objects = append(objects, w.object)
	}
	return objects
}

// WorkloadImages lists the images of a workload's template; none for an object of another kind, and for a Job that has finished.
func (s Scope) WorkloadImages(object client.Object) []imageref.Reference {
	for _, w := range workloads() {
		if template := w.template(object); template != nil {
			return s.Template(&template.Spec)
		}
	}
	return nil
}

// IndexWorkloads makes a cache find workloads by the images of their templates.
func IndexWorkloads(ctx context.Context, indexer client.FieldIndexer, scope Scope) error {
	images := func(object client.Object) []string { return fullForms(scope.WorkloadImages(object)) }
	for _, w := range workloads() {
		if err := indexer.IndexField(ctx, w.object, FieldImage, images); err != nil {
			return fmt.Errorf("indexing %ss by image: %w", w.kind, err)
		}
	}
	return nil
}

// Owners lists the revisions of workloads whose pods share one template that uses an image: ControllerRevisions, Jobs and ReplicaSets, from
// a cache that IndexWorkloads prepared.
func Owners(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]client.Object, error) {
	return using(ctx, reader, ref, "ControllerRevision", "Job", "ReplicaSet")
}

// Rolled lists the workloads that are rolled and use an image: DaemonSets, Deployments and StatefulSets, from a cache that IndexWorkloads
// prepared.
func Rolled(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]client.Object, error) {
	return using(ctx, reader, ref, "DaemonSet", "Deployment", "StatefulSet")
}

// WorkloadsUsing lists the workloads whose templates use an image, in order, as "CronJob shop/nightly", from a cache that
// IndexWorkloads prepared.
func WorkloadsUsing(ctx context.Context, reader client.Reader, ref imageref.Reference) ([]string, error) {
	var names []string
	for _, w := range workloads() {
		objects, err := using(ctx, reader, ref, w.kind)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			names = append(names, w.kind+" "+object.GetNamespace()+"/"+object.GetName())
		}
	}
	slices.Sort(names)
	return names, nil
}

// using lists the workloads of some kinds whose templates use an image.
func using(ctx context.Context, reader client.Reader, ref imageref.Reference, kinds ...string) ([]client.Object, error) {
	var objects []client.Object
	for _, w := range workloads() {
		if !slices.Contains(kinds, w.kind) {
			continue
		}
		list := w.list()
		err := reader.List(ctx, list, client.MatchingFields{FieldImage: ref.String()}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("listing the %ss that use %s: %w", w.kind, ref, err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if object, ok := item.(client.Object); ok {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}
