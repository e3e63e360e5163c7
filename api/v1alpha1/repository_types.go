package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RepositorySpec says how a repository's tags are kept fresh, and to whom its images are served.
//
// +kubebuilder:validation:XValidation:rule="!has(self.updateMode) || self.updateMode != 'Periodic' || !has(self.updateInterval) || self.updateInterval != 'never'",fieldPath=".updateInterval",message="updateMode Periodic needs an interval: write a duration of at least 1m, or leave updateMode out"
// +kubebuilder:validation:XValidation:rule="!has(self.updateMode) || self.updateMode != 'Periodic' || !has(self.updateInterval) || !self.updateInterval.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$') || duration(self.updateInterval) >= duration('1m')",fieldPath=".updateInterval",message="too short for updateMode Periodic: write at least 1m, or leave updateMode out to check when the tag is pulled"
// +kubebuilder:validation:XValidation:rule="!has(self.maxStale) || size(self.maxStale) == 0 || !has(self.updateInterval) || self.updateInterval != 'never'",fieldPath=".maxStale",message="a tag that is never checked cannot become stale: set updateInterval to a duration, or leave maxStale out"
// +kubebuilder:validation:XValidation:rule="!has(self.maxStale) || !self.maxStale.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$') || duration(self.maxStale) > duration('0s')",fieldPath=".maxStale",message="write a duration above 0s, or leave maxStale out to serve a copy for as long as its origin does not answer"
// +kubebuilder:validation:XValidation:rule="!has(self.maxStale) || !has(self.updateInterval) || !self.maxStale.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$') || !self.updateInterval.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$') || duration(self.maxStale) >= duration(self.updateInterval)",fieldPath=".maxStale",message="shorter than updateInterval, within which a copy is not checked: write at least updateInterval"
type RepositorySpec struct {
	// The repository, with its host and without tag or digest: docker.io/library/postgres, reg.example:5000/team/app.
	// Docker Hub's short names work too: postgres is docker.io/library/postgres.
	// It cannot be changed; for another repository create another object.
	// Of two objects with one name, the older is in force and the other says Conflict.
	//
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*|(([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?([.][a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*|[[][a-fA-F0-9]*:[a-fA-F0-9:]*[]])(:[0-9]+)?|[a-z0-9]+((__?|-+)[a-z0-9]+)*)(/[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*)+)$')",message="write a repository in lower case, without tag or digest, such as docker.io/library/postgres or reg.example:5000/team/app"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/]*:[0-9]+/') || self.matches('^[^/]*:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})/')",message="write a port from 1 to 65535"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="name cannot be changed: create another Repository for another name"
	Name string `json:"name"`

	// How old the answer of the last check may be before a pull of a tag asks the origin again, at most once
	// per interval however many pull: 1h, 90m, 1h30m. 0s asks at every pull; never does not ask again once the tag
	// is cached. Unset, the default of the Larder process holds, which is never unless configured.
	//
	// +optional
	UpdateInterval Interval `json:"updateInterval,omitempty"`

	// Which tags are checked: regular expressions (RE2, unanchored) on name:tag, of which one match is enough. The name is tried
	// in its full form (docker.io/library/postgres:15) and in its short one (postgres:15).
	// ':15$' is exactly the tag 15; 'latest' any tag with latest in it. No filter means every tag. A Repository that sets neither
	// updateInterval nor updateFilters takes both from the default of the Larder process.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule="size(self) > 0",message="empty: write a regular expression in RE2 syntax, such as ':15$' or 'latest', or leave the list out"
	// +kubebuilder:validation:items:XValidation:rule="'docker.io/library/postgres:15'.matches(self) in [true, false]",message="write a regular expression in RE2 syntax, such as ':15$' or 'latest'"
	UpdateFilters []string `json:"updateFilters,omitempty"`

	// When tags are checked: OnPull, when a tag is pulled and its check is due; or Periodic, when it is due, pulled or not
	// (updateInterval is at least 1m then).
	//
	// +optional
	// +kubebuilder:default=OnPull
	UpdateMode UpdateMode `json:"updateMode,omitempty"`

	// How long after its last confirmation by the origin a tag may be served while the origin does not answer: 24h. Then pulls of it
	// fail until the origin answers again. At least updateInterval. Unset: for ever, which is what keeps a
	// cluster running through an outage; set it only where an image must be withdrawable.
	//
	// +optional
	MaxStale Duration `json:"maxStale,omitempty"`

	// The platforms that are mirrored for CachedImages of this repository: linux/amd64, linux/arm64/v8. Unset: those of the
	// cluster's nodes; without a cluster, all of the image. A pull of any other platform works all the same.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$')",message="write os/architecture or os/architecture/variant, such as linux/amd64 or linux/arm64/v8"
	Platforms []string `json:"platforms,omitempty"`

	// Image pull secrets in Larder's own namespace that are used for this repository besides those of the pods. What they can
	// pull is served to every pod. Without a cluster there are no secrets: see credentialsFile in larder serve's configuration.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="write the name of a Secret in Larder's namespace, of lower-case letters, digits, dashes and periods"
	PullSecretNames []string `json:"pullSecretNames,omitempty"`

	// Who may pull what is cached: Granted, nodes with a pod that uses the image and whose credentials the origin once
	// accepted; or Shared, everyone in the cluster. Without a cluster every client may pull.
	//
	// +optional
	// +kubebuilder:default=Granted
	Access Access `json:"access,omitempty"`

	// How long the origin's yes to a pod's credential holds: 720h. Then it is asked again, and until it answers yes the image is
	// refused. Unset: for ever, which is what keeps a cluster running when a pull secret was revoked or the origin is gone.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}([.][0-9]{1,3})?(ms|s|m|h))+$') || duration(self) > duration('0s')",message="write a duration above 0s, or leave grantTTL out to keep what an origin allowed"
	GrantTTL Duration `json:"grantTTL,omitempty"`

	// How many revisions of each tag are kept, so that it can go back to one without its origin: 5 where unset. A revision that a pod
	// or a kept revision of a workload uses, or that a tag is pinned to, is kept beyond that.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HistoryLimit *int32 `json:"historyLimit,omitempty"`

	// Which tags never move once they are cached, whatever their origin says: regular expressions as in updateFilters, of which one
	// match is enough. Where the origin has another digest at a check, the cached one is served on, and the condition Moved of the
	// CachedImage says so.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule="size(self) > 0",message="empty: write a regular expression in RE2 syntax, such as ':15$' or 'latest', or leave the list out"
	// +kubebuilder:validation:items:XValidation:rule="'docker.io/library/postgres:15'.matches(self) in [true, false]",message="write a regular expression in RE2 syntax, such as ':15$' or 'latest'"
	ImmutableTags []string `json:"immutableTags,omitempty"`

	// The repository that the images really come from: registry.corp/hardened/nginx for what pods call docker.io/library/nginx. Unset:
	// the one in name. What is cached already is checked there from then on.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*|(([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?([.][a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*|[[][a-fA-F0-9]*:[a-fA-F0-9:]*[]])(:[0-9]+)?|[a-z0-9]+((__?|-+)[a-z0-9]+)*)(/[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*)+)$')",message="write a repository in lower case, without tag or digest, such as docker.io/library/postgres or reg.example:5000/team/app"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/]*:[0-9]+/') || self.matches('^[^/]*:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})/')",message="write a port from 1 to 65535"
	Origin string `json:"origin,omitempty"`

	// Repositories that are asked, in this order, where origin (or, unset, the one in name) does not answer or does not have the
	// image.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*|(([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?([.][a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*|[[][a-fA-F0-9]*:[a-fA-F0-9:]*[]])(:[0-9]+)?|[a-z0-9]+((__?|-+)[a-z0-9]+)*)(/[a-z0-9]+(([.]|__?|-+)[a-z0-9]+)*)+)$')",message="write a repository in lower case, without tag or digest, such as docker.io/library/postgres or reg.example:5000/team/app"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[^/]*:[0-9]+/') || self.matches('^[^/]*:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})/')",message="write a port from 1 to 65535"
	FallbackOrigins []string `json:"fallbackOrigins,omitempty"`

	// Whether the webhook writes the digest of a tag behind it (name:tag@digest), so that all pods of one revision of a workload run the
	// same image, however often the tag moves meanwhile.
	//
	// +optional
	ResolveDigests bool `json:"resolveDigests,omitempty"`

	// What happens to the workloads that use an image of the repository when its tag moved and the new revision is stored whole: None,
	// which is also where unset; or Restart, which rolls them as kubectl rollout restart does. A workload's annotation
	// larder.dev/on-update goes first.
	//
	// +optional
	OnUpdate OnUpdate `json:"onUpdate,omitempty"`
}

// OnUpdate says what happens to workloads when an image that they run was superseded. Empty means OnUpdateNone.
//
// +kubebuilder:validation:Enum=None;Restart
type OnUpdate string

// What happens to workloads when an image that they run was superseded.
const (
	OnUpdateNone    OnUpdate = "None"
	OnUpdateRestart OnUpdate = "Restart"
)

// UpdateMode says what makes Larder check a tag. Empty means UpdateOnPull.
//
// +kubebuilder:validation:Enum=OnPull;Periodic
type UpdateMode string

// The update modes.
const (
	UpdateOnPull   UpdateMode = "OnPull"
	UpdatePeriodic UpdateMode = "Periodic"
)

// Access says to whom cached images are served. Empty means AccessGranted.
//
// +kubebuilder:validation:Enum=Granted;Shared
type Access string

// The kinds of access.
const (
	AccessGranted Access = "Granted"
	AccessShared  Access = "Shared"
)

// RepositoryPhase sums up a Repository's state in a word.
//
// +kubebuilder:validation:Enum=Ready;Conflict;Invalid;Terminating
type RepositoryPhase string

// The phases of a Repository.
const (
	// RepositoryReady means that the Repository is in force.
	RepositoryReady RepositoryPhase = "Ready"
	// RepositoryConflict means that an older Repository of the same spec.name is in force instead.
	RepositoryConflict RepositoryPhase = "Conflict"
	// RepositoryInvalid means that the Repository is not in force because its spec, or what it inherits, cannot be.
	RepositoryInvalid RepositoryPhase = "Invalid"
	// RepositoryTerminating means that the Repository is being deleted and waits for its CachedImages.
	RepositoryTerminating RepositoryPhase = "Terminating"
)

// RepositoryStatus is what Larder observed of a repository.
type RepositoryStatus struct {
	// Ready; Conflict where an older Repository of the same name is in force instead; Invalid; or Terminating.
	//
	// +optional
	Phase RepositoryPhase `json:"phase,omitempty"`

	// How many CachedImages belong to the repository.
	//
	// +optional
	Images *int32 `json:"images,omitempty"`

	// Who may pull the repository's images from the cache, by what the origin said.
	//
	// +optional
	Access *AccessStatus `json:"access,omitempty"`

	// When an image of the repository was last brought in from the origin.
	//
	// +optional
	LastUpdate *metav1.Time `json:"lastUpdate,omitempty"`

	// The generation of the spec that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Details, as conditions.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// AccessStatus tells to whom a repository's images are served. It names no credential.
type AccessStatus struct {
	// Whether every pod may pull: the origin serves it to strangers, to a pull secret of Larder's own namespace or to the cloud's
	// identity, or spec.access is Shared.
	//
	// +required
	Public bool `json:"public"`

	// To how many credentials of pods the origin said yes.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	Grants int32 `json:"grants"`

	// The namespaces whose pods brought those credentials, at most 50 of them, in the order of their names.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=50
	Namespaces []NamespaceGrants `json:"namespaces,omitempty"`
}

// NamespaceGrants counts the grants of one namespace.
type NamespaceGrants struct {
	// The namespace.
	//
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// How many credentials of its pods the origin said yes to.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	Grants int32 `json:"grants"`
}

// Repository says how the tags of one repository are kept fresh, and to whom its images are served. A repository without one is
// cached all the same, by the defaults of the Larder process.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=repositories,scope=Cluster,shortName=repo
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Repository",type=string,JSONPath=`.spec.name`,description="The repository"
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.phase`,description="Whether the object is in force"
// +kubebuilder:printcolumn:name="Images",type=integer,JSONPath=`.status.images`,description="How many CachedImages belong to it"
// +kubebuilder:printcolumn:name="Interval",type=string,JSONPath=`.spec.updateInterval`,description="How old the last check of a tag may be"
// +kubebuilder:printcolumn:name="Last Update",type=date,JSONPath=`.status.lastUpdate`,description="When an image was last brought in from the origin"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,description="What the condition Ready says"
type Repository struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What is wanted.
	//
	// +required
	Spec RepositorySpec `json:"spec"`

	// What Larder observed.
	//
	// +optional
	Status RepositoryStatus `json:"status,omitempty"`
}

// RepositoryList is a list of Repositories.
//
// +kubebuilder:object:root=true
type RepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Repository `json:"items"`
}
