// Package certificate keeps the certificate with which the webhook answers, so that there is no moment in which API servers do not trust
// it: either Own makes it, or Files follows what somebody else does. In the same way Kept keeps the one with which larder registry answers
// larder-proxy.
package certificate
