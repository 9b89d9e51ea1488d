package v1alpha1

// Annotations of the Kubernetes events about a ModuleSource, and metadata of
// those to Flux's notification-controller, which shows them without the prefix.
const (
	// EventRevision is what the event is about, <version or tag>@<digest>, or
	// <digest> for a pin.
	EventRevision = "source.assay.dev/revision"
	// EventDigest is the digest of its manifest.
	EventDigest = "source.assay.dev/digest"
	// EventSigner is who signed it: a key's fingerprint, or issuer and subject of
	// a certificate; several are separated by " and ". Only signers that were
	// verified, for a revision that was published, are ever named.
	EventSigner = "source.assay.dev/signer"
	// EventOriginRevision is the commit that a published module says it was made
	// of (org.opencontainers.image.revision), by which Flux sets commit statuses.
	// The signature covers it.
	EventOriginRevision = "source.assay.dev/originRevision"
)
