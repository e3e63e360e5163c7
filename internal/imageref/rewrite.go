package imageref

import "strings"

// Short is the reference in the form people write it: "postgres:15", "reg.example:5000/app@sha256:...". Parse reads it back.
func (r Reference) Short() string {
	full := r.String()
	return r.Repository.Short() + strings.TrimPrefix(full, r.Repository.String())
}

// Rewrite is the image as a pod names it to pull it through Larder at address ("localhost:7439"):
// "localhost:7439/docker.io/library/nginx:1.27". Invert is its inverse.
func (r Reference) Rewrite(address string) string {
	full := r.String()
	return address + "/" + r.Repository.Encode() + strings.TrimPrefix(full, r.Repository.String())
}

// Invert returns the reference that Rewrite made s of, and whether it did: whether s is an image behind address. Forms that Rewrite
// would not write ("localhost:7439/nginx") are read as a pull of them is.
func Invert(address, s string) (Reference, bool) {
	rest, ok := strings.CutPrefix(s, address+"/")
	if !ok {
		return Reference{}, false
	}
	ref, err := parse(rest, parsePath)
	return ref, err == nil
}
