package v1alpha1

// Labels, annotations and finalizers of Larder's objects.
const (
	// AnnotationRefresh on a CachedImage asks for a check at the origin now, whatever its policy says, each time its value changes.
	AnnotationRefresh = "larder.dev/refresh"
	// AnnotationOriginals on a pod holds, as JSON by container, the images that were rewritten as they stood before. An image volume is
	// "volume/<name>".
	AnnotationOriginals = "larder.dev/original-images"
	// AnnotationKeptDigests on a CachedImage lists, separated by commas, the digests that kept revisions of workloads get when they scale
	// up: these stay in the tag's history and in the store.
	AnnotationKeptDigests = "larder.dev/kept-digests"
	// LabelRepository on a CachedImage that Larder made names the Repository object it belonged to then.
	LabelRepository = "larder.dev/repository"
	// LabelManagedBy tells the objects that Larder made from those that a person wrote.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "larder"
	// FinalizerUntag holds a CachedImage that is deleted until the registry has untagged the image.
	FinalizerUntag = "larder.dev/untag"
	// FinalizerImages holds a Repository that is deleted while CachedImages belong to it.
	FinalizerImages = "larder.dev/images"
)

// Annotations of Deployments, StatefulSets and DaemonSets, for rollouts of what superseded their images.
const (
	// AnnotationOnUpdate says whether the workload is rolled: OnUpdateWorkloadRestart or OnUpdateWorkloadNone. It goes before a
	// Repository's spec.onUpdate.
	AnnotationOnUpdate = "larder.dev/on-update"
	// AnnotationRestartInterval is how long there is between two restarts of the workload at least: a duration such as 10m.
	AnnotationRestartInterval = "larder.dev/restart-interval"
	// AnnotationPaused, where it is "true", holds rollouts of the workload back.
	AnnotationPaused = "larder.dev/paused"
	// AnnotationRestartedFor on the template of a workload tells, separated by commas, for which digests Larder restarted it.
	AnnotationRestartedFor = "larder.dev/restarted-for"
)

// The values of AnnotationOnUpdate.
const (
	OnUpdateWorkloadRestart = "restart"
	OnUpdateWorkloadNone    = "none"
)
