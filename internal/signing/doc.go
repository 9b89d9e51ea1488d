// Package signing signs artifacts in a registry with a key or, keyless, with a
// certificate for an identity token, has the signature logged and timestamped,
// and attaches it: as a Sigstore bundle, or in the format of Cosign v2.
//
// It promises that what is attached is right: the answers of the certificate
// authority, the logs and the timestamp authorities are held against the
// signature they are for, and with a trusted root the whole is judged by
// [verify.Verify], before anything is written. Writing is the last step.
//
// It asks nothing of a terminal, and reads nothing of the environment but what a
// key reference names. Only cmd/assay may import it: what it depends on has no
// place in the controller.
package signing
