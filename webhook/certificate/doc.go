// Package certificate keeps the certificate with which the webhook answers, so that there is no moment in which API servers do not trust
// it: either Own makes it, or Files follows what somebody else does.
package certificate
