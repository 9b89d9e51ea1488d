// Package sigstored serves a Sigstore on 127.0.0.1, for tests that need one to
// talk to: the servers of Fulcio, of Rekor v2 and of the timestamp authority, in
// the versions of hack/sigstore/go.mod, beside issuers of tokens and a certificate
// transparency log of this package, and the Rekor v1 of package server. The keys are those of
// a [sigstore.Sigstore], whose trusted root therefore verifies what they sign.
// It also runs Cosign, in the two releases that hack/sigstore builds.
//
// Nothing of it leaves the machine, and every port is a free one.
//
// The package does not import testing.
package sigstored
