// Package objects tests larder on object storage, as processes on a real S3 server: what a pull costs there, and several replicas on one
// bucket.
package objects
