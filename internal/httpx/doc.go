// Package httpx is what every HTTP server of Larder shares: how it listens, serves and stops, the access log and metrics of
// each request, and the one place where errors take their OCI form. It knows no route and decides nothing about content.
package httpx
