// Package registry is the controller's only network: it resolves a version to
// a digest, collects the signatures of a digest, and pulls what was verified.
//
// A tag is resolved once; every request after that is by digest. Everything a
// registry says is untrusted: each answer is read through a limit, each blob is
// read to its end and compared with its digest before a byte of it is used, and
// nothing of an answer's body is repeated in an error.
//
// It speaks the OCI distribution specification, v1.1, over the authenticating
// transport of go-containerregistry. It has its own requests, because that
// library reads one page of referrers and up to 100 MiB of manifest.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
package registry
