package v1alpha1

import (
	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModuleSourceStatus is what the controller found.
type ModuleSourceStatus struct {
	meta.ReconcileRequestStatus `json:",inline"`

	// ObservedGeneration is the generation of the spec that the conditions
	// speak of; -1 before the first look.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions of the source: Verified, ArtifactInStorage and Ready, and
	// where they apply FetchFailed, Reconciling and Stalled.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Observed is the newest revision seen, which Verified speaks of.
	//
	// +optional
	Observed *ObservedRevision `json:"observed,omitempty"`

	// Artifact is the verified artifact that is published, and nothing else
	// ever.
	//
	// +optional
	Artifact *meta.Artifact `json:"artifact,omitempty"`

	// Verification is the evidence for artifact.
	//
	// +optional
	Verification *Verification `json:"verification,omitempty"`

	// Selection is what spec selected when artifact was published.
	//
	// +optional
	Selection *Selection `json:"selection,omitempty"`

	// TrustGoneSince is since when something that spec.verify names does not
	// exist: a Secret, a ConfigMap, or the entry of one. Absent while all of it
	// does.
	//
	// +optional
	TrustGoneSince *metav1.Time `json:"trustGoneSince,omitempty"`

	// VerifiedVersions are the digests at which versions were verified and
	// published, the last first, at most 64: what spec.immutableVersions goes by.
	//
	// +optional
	// +listType=atomic
	VerifiedVersions []VerifiedVersion `json:"verifiedVersions,omitempty"`

	// History is the last verified revisions, newest first, at most 5.
	//
	// +optional
	// +listType=atomic
	History []VerifiedRevision `json:"history,omitempty"`
}

// Bounds of status.history and status.verifiedVersions.
const (
	HistoryLimit          = 5
	VerifiedVersionsLimit = 64
)

// Selection is the part of a spec that selects a version.
type Selection struct {
	// URL of the repository.
	//
	// +required
	URL string `json:"url"`

	// Version is the version or range; empty for none.
	//
	// +optional
	Version string `json:"version,omitempty"`

	// VersionFilter is the expression that tags had to match; empty for none.
	//
	// +optional
	VersionFilter string `json:"versionFilter,omitempty"`
}

// VerifiedVersion is the digest at which a version was verified last.
type VerifiedVersion struct {
	// URL of the repository.
	//
	// +required
	URL string `json:"url"`

	// Version is the semantic version, without a v before it.
	//
	// +required
	Version string `json:"version"`

	// Digest of the manifest.
	//
	// +required
	Digest string `json:"digest"`
}

// ObservedRevision is a revision that the registry offered.
type ObservedRevision struct {
	// Revision is <version or tag>@<digest>, or <digest> for a pin.
	//
	// +required
	Revision string `json:"revision"`

	// Version is the version or tag, empty for a pin.
	//
	// +optional
	Version string `json:"version,omitempty"`

	// Digest of the manifest.
	//
	// +required
	Digest string `json:"digest"`

	// FirstSeenAt is when this controller first saw the revision.
	//
	// +required
	FirstSeenAt metav1.Time `json:"firstSeenAt"`

	// PolicyHash is the hash of policy and trust material under which the
	// verdict was reached that Verified reports; empty when none was.
	//
	// +optional
	PolicyHash string `json:"policyHash,omitempty"`
}

// Verification is the evidence for a verdict.
type Verification struct {
	// Digest that was verified.
	//
	// +required
	Digest string `json:"digest"`

	// PolicyHash is the hash of policy and trust material that accepted it.
	//
	// +required
	PolicyHash string `json:"policyHash"`

	// VerifiedAt is when it was accepted under that policy.
	//
	// +required
	VerifiedAt metav1.Time `json:"verifiedAt"`

	// Signatures are those that were accepted, one for each satisfied authority.
	//
	// +required
	// +listType=atomic
	Signatures []AcceptedSignature `json:"signatures"`
}

// AcceptedSignature is a signature that satisfied an authority.
type AcceptedSignature struct {
	// Authority is the name of the authority.
	//
	// +required
	Authority string `json:"authority"`

	// Format of the signature: cosign (Cosign v2) or bundle (Sigstore bundle).
	//
	// +required
	Format string `json:"format"`

	// KeyFingerprint is sha256:<hex> over the DER encoded
	// SubjectPublicKeyInfo of the key; absent for a certificate.
	//
	// +optional
	KeyFingerprint string `json:"keyFingerprint,omitempty"`

	// Issuer is the OpenID Connect issuer that vouched for the signer; absent
	// for a key.
	//
	// +optional
	Issuer string `json:"issuer,omitempty"`

	// Subject is the certificate's subject alternative name; absent for a key.
	//
	// +optional
	Subject string `json:"subject,omitempty"`

	// Extensions are what the certificate says besides.
	//
	// +optional
	// +listType=atomic
	Extensions []SignerExtension `json:"extensions,omitempty"`

	// TransparencyLog is where the signature is recorded; absent where the
	// authority ignores it.
	//
	// +optional
	TransparencyLog *TransparencyLogEntry `json:"transparencyLog,omitempty"`

	// SignedTimestamp is the earliest time at which a timestamp authority in
	// the trusted root saw the signature; absent where none did.
	//
	// +optional
	SignedTimestamp *metav1.Time `json:"signedTimestamp,omitempty"`
}

// SignerExtension is what a certificate said of its signer.
type SignerExtension struct {
	// Name of the extension, as in spec.verify.
	//
	// +required
	Name string `json:"name"`

	// Value of the extension.
	//
	// +required
	Value string `json:"value"`
}

// TransparencyLogEntry is where a transparency log recorded a signature.
type TransparencyLogEntry struct {
	// LogID identifies the log, in hexadecimal.
	//
	// +required
	LogID string `json:"logID"`

	// URL of the log, as the trusted root has it.
	//
	// +optional
	URL string `json:"url,omitempty"`

	// Index of the entry in the log.
	//
	// +required
	Index int64 `json:"index"`

	// IntegratedTime is when the log recorded it, as it promised; absent where
	// the log does not say, as Rekor v2.
	//
	// +optional
	IntegratedTime *metav1.Time `json:"integratedTime,omitempty"`
}

// VerifiedRevision is a revision that was verified and published.
type VerifiedRevision struct {
	// Revision is <version or tag>@<digest>, or <digest> for a pin.
	//
	// +required
	Revision string `json:"revision"`

	// ArtifactDigest is the digest of the published archive.
	//
	// +required
	ArtifactDigest string `json:"artifactDigest"`

	// VerifiedAt is when it was first published.
	//
	// +required
	VerifiedAt metav1.Time `json:"verifiedAt"`
}
