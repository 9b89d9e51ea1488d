// Package sigstore is a private Sigstore in memory, for tests: a certificate
// authority with a certificate transparency log, a transparency log with the
// interface of Rekor v1 and one with that of Rekor v2, and a timestamp
// authority. The keys, certificates, signatures, Merkle trees and timestamps
// are real, and there is no server and no network behind them.
//
// It makes signatures in both formats, as cosign writes them: right ones, and,
// since every part can be taken from another instance, edited or left out,
// those that must be refused. Its logs and authorities put their signature to
// whatever they are given, as no server does: a certificate for any identity,
// an entry for a signature that does not verify, a time of the caller's choice.
//
// The package imports neither testing nor anything of internal.
package sigstore
