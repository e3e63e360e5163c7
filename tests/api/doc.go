// Package api tests Larder's kinds against a real API server: what it refuses and what it says then, what it fills in, and how kubectl
// prints them. Its tables of specs are for whoever else judges specs.
package api
