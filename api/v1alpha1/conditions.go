package v1alpha1

// The condition types of a ModuleSource.
const (
	// ConditionVerified is the verdict on status.observed. True: signatures
	// that spec.verify trusts cover exactly that digest. False: judged and
	// refused. Unknown: it could not be judged. It keeps its value while that
	// verdict stands, whatever happens to the registry.
	ConditionVerified = "Verified"
	// ConditionArtifactInStorage is True while a verified artifact is
	// published and served.
	ConditionArtifactInStorage = "ArtifactInStorage"
	// ConditionReady is True when the observed revision is verified and
	// published and the last poll succeeded.
	ConditionReady = "Ready"
	// ConditionFetchFailed is present, and True, while polling or pulling fails.
	ConditionFetchFailed = "FetchFailed"
	// ConditionReconciling is present, and True, only while a retry is on its
	// way.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is present, and True, while nothing changes until a
	// person edits, signs or pushes something.
	ConditionStalled = "Stalled"
)

// Reasons of Verified=True.
const (
	// ReasonSignatureVerified: signatures that spec.verify trusts cover the
	// digest.
	ReasonSignatureVerified = "SignatureVerified"
)

// Reasons of Verified=False: judged and refused. Of several signatures, the
// reason is that of the one that got furthest.
const (
	// ReasonNoSignature: the digest has no signature. An attestation is none.
	ReasonNoSignature = "NoSignature"
	// ReasonKeyMismatch: no trusted key verifies any of the signatures.
	ReasonKeyMismatch = "KeyMismatch"
	// ReasonIdentityMismatch: the signatures verify, and are by nobody whom
	// spec.verify names. The message says who signed.
	ReasonIdentityMismatch = "IdentityMismatch"
	// ReasonCertificateInvalid: there is no certificate, or no authority in the
	// trusted root issued it, it was not valid when the signature was made, it
	// is in no certificate transparency log, or it names no single signer.
	ReasonCertificateInvalid = "CertificateInvalid"
	// ReasonTransparencyLogMissing: no transparency log recorded the
	// signature, and spec.verify requires it.
	ReasonTransparencyLogMissing = "TransparencyLogMissing"
	// ReasonTransparencyLogInvalid: the log entry does not verify, is that of
	// another signature, or by a log that is not in the trusted root.
	ReasonTransparencyLogInvalid = "TransparencyLogInvalid"
	// ReasonTimestampInvalid: the timestamp is not by an authority in the
	// trusted root, or nobody in it says when the signature was made.
	ReasonTimestampInvalid = "TimestampInvalid"
	// ReasonTimeMismatch: the signatures are by who may sign, at a time at which
	// spec.verify does not count them (notBefore, notAfter).
	ReasonTimeMismatch = "TimeMismatch"
	// ReasonSignatureInvalid: a signature is malformed, or not over this
	// digest.
	ReasonSignatureInvalid = "SignatureInvalid"
	// ReasonThresholdNotMet: fewer authorities are satisfied than
	// spec.verify.threshold asks for.
	ReasonThresholdNotMet = "ThresholdNotMet"
	// ReasonDigestMismatch: the version or tag does not resolve to
	// spec.digest.
	ReasonDigestMismatch = "DigestMismatch"
	// ReasonDigestDenied: spec.verify.denyDigests names the digest.
	ReasonDigestDenied = "DigestDenied"
	// ReasonVersionMutated: the version was verified at another digest, and
	// nobody accepted this one with the annotation
	// source.assay.dev/accept-digest.
	ReasonVersionMutated = "VersionMutated"
	// ReasonVersionRollback: the highest match is lower than the version that
	// is published, and spec did not change: a tag was deleted.
	ReasonVersionRollback = "VersionRollback"
	// ReasonTrustWithdrawn: what spec.verify names has been gone for longer than
	// --trust-grace, and without it too few authorities remain.
	ReasonTrustWithdrawn = "TrustWithdrawn"
	// ReasonVersionMismatch: the signed manifest is that of another version
	// than the one selected.
	ReasonVersionMismatch = "VersionMismatch"
)

// Reasons of Verified=Unknown: not judged.
const (
	// ReasonRegistryUnavailable: the registry did not answer, or answered
	// with an error of its own or with something else than was asked for.
	ReasonRegistryUnavailable = "RegistryUnavailable"
	// ReasonRateLimited: the registry answered 429.
	ReasonRateLimited = "RateLimited"
	// ReasonAuthenticationFailed: the registry answered 401 or 403, or the
	// credentials cannot be read.
	ReasonAuthenticationFailed = "AuthenticationFailed"
	// ReasonRepositoryNotFound: the registry does not know the repository.
	ReasonRepositoryNotFound = "RepositoryNotFound"
	// ReasonVersionNotFound: the repository has no tag or digest that
	// matches.
	ReasonVersionNotFound = "VersionNotFound"
	// ReasonTrustUnavailable: a Secret or ConfigMap that spec.verify names
	// is missing or cannot be read, or the controller has no trusted root.
	ReasonTrustUnavailable = "TrustUnavailable"
	// ReasonTooManySignatures: the digest has more signatures than are
	// judged.
	ReasonTooManySignatures = "TooManySignatures"
	// ReasonAwaitingSignature: the digest is new and has no signature yet;
	// spec.verify.signatureGracePeriod says how long that is not a refusal.
	ReasonAwaitingSignature = "AwaitingSignature"
	// ReasonProgressing: not looked at yet.
	ReasonProgressing = "Progressing"
)

// Reasons of FetchFailed=True beside those of Verified=Unknown that are the
// registry's: verified, but not publishable.
const (
	// ReasonArtifactInvalid: the artifact's content cannot be published,
	// such as one with links or with paths outside of it.
	ReasonArtifactInvalid = "ArtifactInvalid"
	// ReasonArtifactTooLarge: the artifact exceeds a limit of the controller.
	ReasonArtifactTooLarge = "ArtifactTooLarge"
	// ReasonStorageFailed: the artifact cannot be written.
	ReasonStorageFailed = "StorageFailed"
)

// Reasons of Stalled=True beside those of Verified=False and of an artifact
// that cannot be published.
const (
	// ReasonInvalidSpec: the spec cannot be acted on.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonInvalidTrust: a Secret or ConfigMap that spec.verify names holds
	// something that cannot be used.
	ReasonInvalidTrust = "InvalidTrust"
)

// Reasons of ArtifactInStorage.
const (
	// ReasonArtifactPublished: the artifact is served at status.artifact.url.
	ReasonArtifactPublished = "ArtifactPublished"
	// ReasonNoArtifact: nothing has been published yet.
	ReasonNoArtifact = "NoArtifact"
	// ReasonArtifactMissing: what was published is not in storage; it is
	// being rebuilt.
	ReasonArtifactMissing = "ArtifactMissing"
	// ReasonArtifactWithdrawn: what was published is not trusted any more.
	ReasonArtifactWithdrawn = "ArtifactWithdrawn"
)

// ReasonRetrying is the reason of Reconciling=True.
const ReasonRetrying = "Retrying"
