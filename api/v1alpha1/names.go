package v1alpha1

// Labels, annotations and finalizers of Larder's objects.
const (
	// AnnotationRefresh on a CachedImage asks for a check at the origin now, whatever its policy says, each time its value changes.
	AnnotationRefresh = "larder.dev/refresh"
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
