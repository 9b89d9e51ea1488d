// Package signing makes keys, and signs artifacts in a registry with them the
// way the cosign command line v2.6 does, through Cosign's own library: in the
// v2 format, under the .sig tag, and as Sigstore bundles, attached as
// referrers. No transparency log, certificate authority or timestamp authority
// takes part: package sigstore has these.
//
// Beside right signatures it makes those that must be refused: over another
// digest, copied from another artifact, or attestations that are no signature.
//
// References are always by digest, "127.0.0.1:port/repo@sha256:…"; options are
// for credentials. The package does not import testing.
package signing
