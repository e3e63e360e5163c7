// Package origin runs a real registry as the origin of a test: distribution's own handlers (or, for the referrers API that
// distribution lacks, go-containerregistry's) behind a real loopback socket, with a front that measures every request and
// injects the faults that real origins show.
//
//	o := origin.New(t)
//	img := o.Push(t, "library/nginx:1.27", origin.RandomImage(3, 1<<20))
//
//	hang := o.Fail(origin.Manifests().By("HEAD"), origin.Hang())
//	... // the cache under test asks
//	hang.Await(t, 1)
//	o.Heal()
//
//	if got := o.Count(origin.Blobs().Of(img.Blobs[0].Digest.String())); got != 1 { ... }
//
// # What is measured
//
// The front records each request when it arrives, classified by [Kind], and the bytes of successful GET bodies by digest as
// they are handed to the kernel. What [Origin.Push] and its like do enters by a listener of its own: it is neither counted
// nor faulted, so an origin can be changed while it is down. A request that the origin answers with an authentication
// challenge is of [KindChallenge], whatever it asked for: counts and faults for manifests see only those let in.
//
// # Faults
//
// [Origin.Fail] arms a fault: a [Match] chooses requests, [Effect] values say what becomes of their answers. All faults that
// match a request apply, in the order in which they were armed; content passes their effects in that order on its way to the
// wire. [Fault.Heal] takes one fault back, [Origin.Heal] all of them; both let go what the fault holds, which then goes on as
// if nothing had been. [Origin.Refuse] and [Origin.Babble] work below HTTP, on the listeners themselves.
//
// # Ends
//
// An Origin speaks HTTP/1.1 only. It is safe for concurrent use. [New] closes it at the end of the test, after which no goroutine,
// connection or file of it is left. What must not happen but did (a credential at the CDN) fails the test, or stands in
// [Origin.Complaints] where there is none.
package origin
