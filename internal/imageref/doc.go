// Package imageref names images: it parses and normalises references, and maps repositories to and from the two
// forms that the wire knows (path and mirror). It is pure: it resolves nothing and opens no connection.
//
// The grammar is the one of github.com/distribution/reference, which the tests hold it against; it is parsed by hand because
// ParsePath runs at every request, and because an error here says what to change. It is stricter in two things: ports must
// be possible ones, and hosts must fit into a file name.
//
// Hosts and path form. A host stands in the path form as one path component:
//
//	reg.example        reg.example
//	reg.example:5000   reg.example_5000    an underscore cannot occur in a host name
//	[fd00::1]:5000     fd00_0000_0000_0000_0000_0000_0000_0001_5000
//	reg.node-1         reg.node-1_443      because reg.node-1 is kube-image-keeper's way to write reg.node:1
//
// The mapping is lossless: two repositories never share a path form, and ParsePath gives each its own back.
package imageref
