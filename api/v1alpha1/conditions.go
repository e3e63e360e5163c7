package v1alpha1

// The types of conditions. Ready, Reconciling and Stalled mean what kstatus says; Reconciling and Stalled are there only while they
// are true.
const (
	// ConditionReady on a CachedImage: every blob of the wanted platforms is stored. On a Repository: it is in force.
	ConditionReady = "Ready"
	// ConditionReconciling: Larder is working on it.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: nothing happens until a person acts; the message says how.
	ConditionStalled = "Stalled"
	// ConditionInUse on a CachedImage: a pod or a workload uses it, so that it does not expire.
	ConditionInUse = "InUse"
	// ConditionUpToDate on a CachedImage by tag: whether the origin confirmed it at the last check; absent while none was answered.
	ConditionUpToDate = "UpToDate"
	// ConditionWouldNotPull on a CachedImage, there only while it is true: workloads are to be restarted for a new revision, but a restart
	// would not pull it; the message names them, and says what to set.
	ConditionWouldNotPull = "WouldNotPull"
	// ConditionPinned on a CachedImage: the tag stays at the revision that it is served with, whatever its origin says. There only while true.
	ConditionPinned = "Pinned"
	// ConditionPinUnavailable on a CachedImage: spec.pinnedDigest is not in force; the message says why not. There only while true.
	ConditionPinUnavailable = "PinUnavailable"
	// ConditionMoved on a CachedImage: the tag is immutable, and somebody moved it at its origin. There only while true.
	ConditionMoved = "Moved"
)

// The reasons of conditions.
const (
	ReasonMirrored      = "Mirrored"      // Ready: the image is stored whole
	ReasonMirroring     = "Mirroring"     // being brought in
	ReasonPending       = "Pending"       // waits for its turn
	ReasonInvalid       = "Invalid"       // the spec cannot be used
	ReasonNotFound      = "NotFound"      // the origin does not have it
	ReasonDenied        = "Denied"        // the origin accepts none of the credentials
	ReasonRefused       = "Refused"       // Larder does not go to this origin
	ReasonRateLimited   = "RateLimited"   // the origin was asked too much
	ReasonOriginFailed  = "OriginFailed"  // the origin did not answer, or not well
	ReasonNoPlatform    = "NoPlatform"    // the image has none of the wanted platforms
	ReasonStorageFailed = "StorageFailed" // the store failed
	ReasonTerminating   = "Terminating"   // being removed
	ReasonPods          = "Pods"          // InUse: by pods
	ReasonWorkloads     = "Workloads"     // InUse: by the templates of workloads
	ReasonRetained      = "Retained"      // not InUse, but spec.retain keeps it
	ReasonUnused        = "Unused"        // not InUse: expires
	ReasonCurrent       = "Current"       // UpToDate: the origin said the same digest
	ReasonMoved         = "Moved"         // not UpToDate: the origin has another digest; Moved: the same, of an immutable tag
	ReasonPinned        = "Pinned"        // Pinned; not UpToDate: because of that
	ReasonImmutable     = "Immutable"     // not UpToDate: the tag may not move to what the origin has
	ReasonPullPolicy    = "PullPolicy"    // WouldNotPull: by tag, and not Always
	ReasonOnDelete      = "OnDelete"      // WouldNotPull: the workload replaces no pods by itself
	ReasonInForce       = "InForce"       // Ready: this Repository's rules hold
	ReasonConflict      = "Conflict"      // an older Repository of the same name, or pin of the same tag, is in force
	ReasonEvicted       = "Evicted"       // not Ready: nobody used it, and the store was larger than its limit
	ReasonImagesRemain  = "ImagesRemain"  // a Repository that is deleted waits for its CachedImages
)
