// Package debian builds an image of a real operating system, for tests and trials that random bytes do not serve: an index of
// linux/amd64 and linux/arm64 whose layers are a Debian root file system, made by debootstrap, and the larder binary.
//
// It is built once, as an OCI layout in the user's cache folder, and reused from then on. Building takes root, a Debian (or a
// system with debootstrap and Debian's archive keys), its package mirror, and a few minutes. Nothing of the arm64 system is run:
// it is unpacked and left unconfigured. File times are fixed, so only newer packages, or another binary, make another image.
package debian
