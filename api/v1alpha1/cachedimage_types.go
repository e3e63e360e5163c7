package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CachedImageSpec names an image, and for how long it is kept.
//
// +kubebuilder:validation:XValidation:rule="!has(self.pinnedDigest) || !self.sourceImage.contains('@')",fieldPath=".pinnedDigest",message="sourceImage has a digest already: pin an image that is named by tag alone, or leave pinnedDigest out"
type CachedImageSpec struct {
	// The image, as a pod's image field has it: by tag, by digest, or both; without either, the tag is latest.
	// It cannot be changed; for another image create another object.
	//
	// +required
	// +kubebuilder:validation:MaxLength=800
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*|(([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?([.][a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*|[[][a-fA-F0-9]*:[a-fA-F0-9:]*[]])(:[0-9]+)?|[a-z0-9]+((__?|-+)[a-z0-9]+)*)(/[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*)+)(:[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(@(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}))?$')",message="write an image as a pod names it, its repository in lower case, such as postgres:15 or reg.example:5000/team/app@sha256:<64 hex digits>"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/]*:[0-9]+/') || self.matches('^[^/]*:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})/')",message="write a port from 1 to 65535"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="sourceImage cannot be changed: create another CachedImage for another image"
	SourceImage string `json:"sourceImage"`

	// Whether the image is kept also when no pod uses it.
	//
	// +optional
	Retain bool `json:"retain,omitempty"`

	// The revision that the tag serves until this is removed, whatever its origin says. Checks go on, and the status shows what the
	// origin has. A digest that is neither stored nor at the origin changes nothing, and the condition PinUnavailable says so.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=135
	// +kubebuilder:validation:XValidation:rule="self.matches('^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$')",message="write a digest such as sha256:<64 hex digits>"
	PinnedDigest string `json:"pinnedDigest,omitempty"`

	// When the image is removed. Set by Larder when no pod uses the image any more, and cleared when one does again.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// CachedImagePhase sums up a CachedImage's state in a word.
//
// +kubebuilder:validation:Enum=Pending;Mirroring;Ready;Stale;Failed;Expiring;Terminating
type CachedImagePhase string

// The phases of a CachedImage.
const (
	CachedImagePending     CachedImagePhase = "Pending"     // nothing happened yet
	CachedImageMirroring   CachedImagePhase = "Mirroring"   // the image is being brought in
	CachedImageReady       CachedImagePhase = "Ready"       // every blob that is wanted is stored
	CachedImageStale       CachedImagePhase = "Stale"       // stored, but the origin has a newer one
	CachedImageFailed      CachedImagePhase = "Failed"      // could not be brought in; the conditions say why
	CachedImageExpiring    CachedImagePhase = "Expiring"    // unused, and about to be removed
	CachedImageTerminating CachedImagePhase = "Terminating" // being removed
)

// CachedImageStatus is what Larder observed of an image.
type CachedImageStatus struct {
	// Pending, Mirroring, Ready (every blob is stored), Stale (the origin has a newer one), Failed, Expiring (unused), or
	// Terminating.
	//
	// +optional
	Phase CachedImagePhase `json:"phase,omitempty"`

	// Whether every blob of the wanted platforms is stored.
	//
	// +optional
	IsCached *bool `json:"isCached,omitempty"`

	// How much of the image is stored while it is being mirrored: 73%.
	//
	// +optional
	Progress string `json:"progress,omitempty"`

	// The digest that the image is served with.
	//
	// +optional
	Digest string `json:"digest,omitempty"`

	// The digest that the origin last said.
	//
	// +optional
	UpstreamDigest string `json:"upstreamDigest,omitempty"`

	// Whether the two digests are the same; unset while the origin has not been asked.
	//
	// +optional
	UpToDate *bool `json:"upToDate,omitempty"`

	// What the tag was, newest first: the first entry is what it is served with now. A revision that became current again has an entry
	// for each time. How many are kept is the Repository's historyLimit.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=200
	History []Revision `json:"history,omitempty"`

	// How much room the image's manifests and blobs take, rounded up: 152Mi. Images may share blobs.
	//
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// When the origin last answered a check of the image.
	//
	// +optional
	LastSync *metav1.Time `json:"lastSync,omitempty"`

	// When the image was last brought in from the origin, whole.
	//
	// +optional
	LastSuccessfulPull *metav1.Time `json:"lastSuccessfulPull,omitempty"`

	// Whether the origin had the image at the last check.
	//
	// +optional
	AvailableUpstream *bool `json:"availableUpstream,omitempty"`

	// When the origin was last seen to have the image.
	//
	// +optional
	LastSeenUpstream *metav1.Time `json:"lastSeenUpstream,omitempty"`

	// The value of the annotation larder.dev/refresh whose check was made last.
	//
	// +optional
	LastHandledRefresh string `json:"lastHandledRefresh,omitempty"`

	// The pods that use the image.
	//
	// +optional
	UsedBy *UsedBy `json:"usedBy,omitempty"`

	// The generation of the spec that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Ready, and what a person can act on.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RevisionCause says why a revision of a tag became current.
//
// +kubebuilder:validation:Enum=Pull;Check;Pin;Unpin;Import
type RevisionCause string

// The causes of revisions.
const (
	RevisionPulled   RevisionCause = "Pull"   // the tag was not known, and somebody pulled or mirrored it
	RevisionChecked  RevisionCause = "Check"  // the origin said another digest at a check
	RevisionPinned   RevisionCause = "Pin"    // somebody pinned the tag to it
	RevisionUnpinned RevisionCause = "Unpin"  // a pin was removed, and this is what the origin has
	RevisionImported RevisionCause = "Import" // it came with larder import
)

// Revision is a digest that a tag was served with for some time.
type Revision struct {
	// The digest of its manifest.
	//
	// +required
	// +kubebuilder:validation:MaxLength=135
	Digest string `json:"digest"`

	// When it became current.
	//
	// +required
	FirstSeen metav1.Time `json:"firstSeen"`

	// When it was last confirmed to be current.
	//
	// +required
	LastSeen metav1.Time `json:"lastSeen"`

	// When every blob of its wanted platforms was stored; unset while it is not.
	//
	// +optional
	CompleteAt *metav1.Time `json:"completeAt,omitempty"`

	// Why it became current: Pull, Check, Pin, Unpin or Import.
	//
	// +optional
	Cause RevisionCause `json:"cause,omitempty"`
}

// UsedBy tells which pods use an image.
type UsedBy struct {
	// How many pods use the image.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	Count int32 `json:"count"`

	// The pods, at most 20 of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=namespacedName
	// +kubebuilder:validation:MaxItems=20
	Pods []PodReference `json:"pods,omitempty"`
}

// PodReference names a pod.
type PodReference struct {
	// The pod, as namespace/name.
	//
	// +required
	// +kubebuilder:validation:MaxLength=317
	NamespacedName string `json:"namespacedName"`
}

// CachedImage is an image that is kept in the cache: Larder brings it in whole, and it does not expire for as long as the
// object exists.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=cachedimages,scope=Cluster,shortName=ci
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.sourceImage`,description="The image"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.phase`,description="What happens to it"
// +kubebuilder:printcolumn:name="Cached",type=boolean,JSONPath=`.status.isCached`,description="Whether it is stored whole"
// +kubebuilder:printcolumn:name="Up To Date",type=boolean,JSONPath=`.status.upToDate`,description="Whether it is what the origin has"
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.usedBy.count`,description="How many pods use it"
// +kubebuilder:printcolumn:name="Size",type=string,JSONPath=`.status.size`,description="How much room it takes"
// +kubebuilder:printcolumn:name="Last Check",type=date,JSONPath=`.status.lastSync`,description="When the origin last answered a check"
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`,description="When it is removed"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Progress",type=string,priority=1,JSONPath=`.status.progress`,description="How much of it is stored, while it is brought in"
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What the condition Ready says"
type CachedImage struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is wanted.
	//
	// +required
	Spec CachedImageSpec `json:"spec"`

	// What Larder observed.
	//
	// +optional
	Status CachedImageStatus `json:"status,omitempty"`
}

// CachedImageList is a list of CachedImages.
//
// +kubebuilder:object:root=true
type CachedImageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CachedImage `json:"items"`
}
