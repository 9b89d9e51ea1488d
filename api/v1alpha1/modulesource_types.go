package v1alpha1

import (
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModuleSourceKind is the kind of a ModuleSource.
const ModuleSourceKind = "ModuleSource"

// Defaults that hold where a spec leaves them out.
const (
	DefaultInterval = 5 * time.Minute
	DefaultTimeout  = time.Minute
)

// ModuleSourceSpec names a module in an OCI registry, the version wanted, and
// who must have signed it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.version) || !has(self.tag)",message="version and tag exclude each other: write version for a semantic version or range, or tag for a mutable tag"
// +kubebuilder:validation:XValidation:rule="!has(self.versionFilter) || !has(self.tag)",message="versionFilter narrows a version range: remove it, or write version instead of tag"
// +kubebuilder:validation:XValidation:rule="!has(self.versionFilter) || has(self.version) || !has(self.digest)",message="versionFilter narrows a version range, and digest alone has none: remove versionFilter, or write version beside digest"
type ModuleSourceSpec struct {
	// URL of the repository, oci://<registry>/<repository>, without a tag or
	// digest.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^oci://[a-zA-Z0-9]([a-zA-Z0-9.-]{0,253}[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*)+$')",message="url must be oci://<registry>[:port]/<repository> in lower case, without tag or digest, such as oci://ghcr.io/org/modules/app: write a tag in spec.tag, a version in spec.version, a digest in spec.digest"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^oci://[a-zA-Z0-9-]+/') || self.startsWith('oci://localhost/')",message="url must name the registry's host in full, such as oci://ghcr.io/org/modules/app, oci://registry.internal/app or oci://registry:5000/app: add the domain, or the port"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^oci://(index[.])?docker[.]io/[^/]*$')",message="url must name the repository in full: write oci://docker.io/library/<name> for an official image, oci://docker.io/<user>/<name> for any other"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^oci://[^/]+/.{256}')",message="url must name a repository of at most 255 characters, counted after the registry: shorten it"
	URL string `json:"url"`

	// Version is an exact semantic version, such as 6.5.4, or a range, such
	// as 6.x or >=6.0.0 <7.0.0, whose highest match is taken. With neither
	// version, tag nor digest it is the highest stable version.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=96
	// +kubebuilder:validation:XValidation:rule="self.split('||').all(g, g.matches('^ *((=|!=|>|<|>=|=>|<=|=<|~>|[~^])? *v?([0-9]{1,18}|[xX*])([.]([0-9]{1,18}|[xX*])){0,2}(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)([.](0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?([+][0-9A-Za-z-]+([.][0-9A-Za-z-]+)*)?( *, *| +- +| +|$))+$') && !g.trim().endsWith(',') && (!g.contains(' - ') || g.matches('^ *[^ <>=~!,^]+ +- +[^ <>=~!,^]+ *$')))",message="version must be a semantic version or range, such as 6.5.4, 6.x, ~6.5 or >=6.0.0 <7.0.0: write a name such as latest in spec.tag"
	// +kubebuilder:validation:XValidation:rule="!self.contains(' - ') || !self.matches('[^ |][|]|[|][^ |]')",message="version with a range from - to needs spaces around ||, or it would mean something else: write 1.0 - 1.4 || 2.x"
	Version string `json:"version,omitempty"`

	// Tag is a mutable tag, such as latest. It excludes version.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_.-]*$')",message="tag must be letters, digits, underscores, periods and hyphens, such as latest: write a digest in spec.digest, a range in spec.version"
	Tag string `json:"tag,omitempty"`

	// Digest is a pin. Alone, it is what is pulled; with version or tag, they
	// must resolve to exactly it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[a-f0-9]{64}$')",message="digest must be sha256: and 64 hexadecimal digits in lower case, as the registry reports it"
	Digest string `json:"digest,omitempty"`

	// VersionFilter is a regular expression (RE2) that a whole tag must match
	// to be looked at as a version.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="size([''.matches(self), ''.matches('^(?:' + self + ')$')]) == 2",message="versionFilter must be a regular expression in RE2 syntax that matches whole tags, such as .*-arm"
	VersionFilter string `json:"versionFilter,omitempty"`

	// Interval at which the registry is asked, between 5s and 168h.
	//
	// +optional
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('168h')",message="interval must be a duration between 5s and 168h, such as 5m or 1h30m"
	Interval metav1.Duration `json:"interval,omitzero"`

	// Timeout of one attempt with all its requests, between 1s and 10m.
	//
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('10m')",message="timeout must be a duration between 1s and 10m, such as 1m"
	Timeout metav1.Duration `json:"timeout,omitzero"`

	// Suspend stops polling: nothing new is looked at or published. What is
	// published is still withdrawn when spec.verify does not trust it any more.
	//
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Insecure speaks plain HTTP to this registry. The controller refuses it
	// together with secretRef, unless started with
	// --allow-insecure-credentials.
	//
	// +optional
	Insecure bool `json:"insecure,omitempty"`

	// SecretRef names a Secret of type kubernetes.io/dockerconfigjson in the
	// same namespace, with the credentials for the registry.
	//
	// +optional
	SecretRef *LocalObjectReference `json:"secretRef,omitempty"`

	// Verify says who must have signed the module. There is no unverified path.
	//
	// +required
	Verify Verify `json:"verify"`
}

// LocalObjectReference names an object in the ModuleSource's namespace.
type LocalObjectReference struct {
	// Name of the object.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// Verify says who must have signed the module.
//
// +kubebuilder:validation:XValidation:rule="has(self.threshold) || size(self.authorities) <= 1",message="threshold is needed with several authorities: write how many of them must have signed, 1 for any one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold >= 1 && self.threshold <= size(self.authorities)",message="threshold must be between 1 and the number of authorities"
// +kubebuilder:validation:XValidation:rule="self.authorities.all(a, self.authorities.exists_one(b, b.name == a.name))",message="every authority needs a name of its own: rename one of those that share a name"
// +kubebuilder:validation:XValidation:rule="self.authorities.map(a, !has(a.key) ? 0 : has(a.key.data) ? a.key.data.split('-----BEGIN ').size() - 1 : 1).sum() <= 32",message="authorities must have at most 32 public keys in all: remove those that sign no more"
// +kubebuilder:validation:XValidation:rule="self.authorities.map(a, has(a.keyless) ? size(a.keyless.identities) : 0).sum() <= 32",message="authorities must have at most 32 identities in all: remove those that sign no more, or write a regular expression for several"
//
// +kubebuilder:pruning:PreserveUnknownFields
type Verify struct {
	// Provider is the kind of signature: cosign.
	//
	// +optional
	// +kubebuilder:default=cosign
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self == 'cosign'",message="provider must be cosign"
	Provider string `json:"provider,omitempty"`

	// Threshold is how many authorities must be satisfied, each by a signer of
	// its own: one signer never satisfies two. Required when there are several.
	//
	// +optional
	Threshold *int32 `json:"threshold,omitempty"`

	// Authorities are those who may sign.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Authorities []Authority `json:"authorities"`

	// UnknownFields are the paths of fields, at any depth, that this version
	// does not know. The API server keeps them, and the controller refuses
	// them: dropped, a misspelt field would be another trust than was written.
	UnknownFields []string `json:"-"`
}

// Authority is one party that may sign, with keys or with certificates.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="has(self.key) != has(self.keyless)",message="an authority needs exactly one of key and keyless: make two authorities, and say by threshold how many of them must sign"
// +kubebuilder:validation:XValidation:rule="!has(self.trustedRootRef) || has(self.keyless) || !has(self.transparencyLog) || self.transparencyLog != 'Ignore'",message="trustedRootRef has no effect on a key with transparencyLog: Ignore: remove it, or write transparencyLog: Require"
type Authority struct {
	// Name of the authority in status, events and messages.
	//
	// +required
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",message="name must be lower case letters, digits and hyphens, such as release-key"
	Name string `json:"name"`

	// Key names the authority's public keys. A signature by any one of them
	// satisfies the authority.
	//
	// +optional
	Key *KeyAuthority `json:"key,omitempty"`

	// Keyless names whom the authority's certificates may name, by an authority
	// in the trusted root such as Sigstore's Fulcio. A signature by any one of
	// them satisfies the authority.
	//
	// +optional
	Keyless *KeylessAuthority `json:"keyless,omitempty"`

	// TransparencyLog says whether a transparency log in the trusted root must
	// have recorded the signature. Require: it must. Ignore: the record is not
	// looked at; keyless then requires an RFC 3161 timestamp by an authority in
	// the trusted root instead.
	//
	// +optional
	// +kubebuilder:default=Require
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self == 'Require' || self == 'Ignore'",message="transparencyLog must be Require or Ignore"
	TransparencyLog TransparencyLog `json:"transparencyLog,omitempty"`

	// TrustedRootRef names a Sigstore trusted root in the same namespace.
	// Without it, it is the controller's default: Sigstore's public instance,
	// unless it was started with another.
	//
	// +optional
	TrustedRootRef *TrustedRootReference `json:"trustedRootRef,omitempty"`
}

// TransparencyLog says what an authority requires of a transparency log.
type TransparencyLog string

const (
	// TransparencyLogRequire takes signatures only that a log recorded.
	TransparencyLogRequire TransparencyLog = "Require"
	// TransparencyLogIgnore does not look at the record.
	TransparencyLogIgnore TransparencyLog = "Ignore"
)

// TrustedRootReference names an entry of a ConfigMap or Secret in the
// ModuleSource's namespace that holds a Sigstore trusted root.
//
// +kubebuilder:pruning:PreserveUnknownFields
type TrustedRootReference struct {
	// Kind of the object: ConfigMap or Secret. A trusted root is no secret.
	//
	// +required
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`

	// Name of the object.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key of the entry.
	//
	// +optional
	// +kubebuilder:default=trusted_root.json
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// DefaultTrustedRootKey is the entry of a TrustedRootReference without a key.
const DefaultTrustedRootKey = "trusted_root.json"

// KeylessAuthority names whom certificates may name.
//
// +kubebuilder:pruning:PreserveUnknownFields
type KeylessAuthority struct {
	// Identities are who may sign, any one of them.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Identities []Identity `json:"identities"`
}

// Identity is who may sign with a certificate. Regular expressions (RE2) match
// the whole value.
//
// +kubebuilder:pruning:PreserveUnknownFields
// +kubebuilder:validation:XValidation:rule="has(self.issuer) != has(self.issuerRegExp)",message="an identity needs exactly one of issuer and issuerRegExp: write who vouched for the signer, such as issuer: https://token.actions.githubusercontent.com"
// +kubebuilder:validation:XValidation:rule="has(self.subject) != has(self.subjectRegExp)",message="an identity needs exactly one of subject and subjectRegExp: write who signed, such as an e-mail address or the URL of a workflow"
type Identity struct {
	// Issuer is the URL of the OpenID Connect issuer that vouched for the
	// signer, such as https://token.actions.githubusercontent.com.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 512",message="issuer must be at most 512 bytes: shorten it"
	Issuer string `json:"issuer,omitempty"`

	// IssuerRegExp matches the whole issuer.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size([''.matches(self), ''.matches('^(?:' + self + ')$')]) == 2",message="issuerRegExp must be a regular expression in RE2 syntax that matches the whole issuer"
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 512",message="issuerRegExp must be at most 512 bytes: shorten it"
	IssuerRegExp string `json:"issuerRegExp,omitempty"`

	// Subject is the certificate's only subject alternative name: an e-mail
	// address, or the URL of a workflow or job, such as
	// https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1.0.0.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 512",message="subject must be at most 512 bytes: shorten it"
	Subject string `json:"subject,omitempty"`

	// SubjectRegExp matches the whole subject.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size([''.matches(self), ''.matches('^(?:' + self + ')$')]) == 2",message="subjectRegExp must be a regular expression in RE2 syntax that matches the whole subject"
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 512",message="subjectRegExp must be at most 512 bytes: shorten it"
	SubjectRegExp string `json:"subjectRegExp,omitempty"`

	// Extensions are what the certificate must say besides, each exactly.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=21
	Extensions []CertificateExtension `json:"extensions,omitempty"`
}

// CertificateExtension is what a certificate says of its signer, beside issuer
// and subject. https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
//
// +kubebuilder:pruning:PreserveUnknownFields
type CertificateExtension struct {
	// Name of the extension.
	//
	// +required
	// +kubebuilder:validation:Enum=githubWorkflowTrigger;githubWorkflowSHA;githubWorkflowName;githubWorkflowRepository;githubWorkflowRef;buildSignerURI;buildSignerDigest;runnerEnvironment;sourceRepositoryURI;sourceRepositoryDigest;sourceRepositoryRef;sourceRepositoryIdentifier;sourceRepositoryOwnerURI;sourceRepositoryOwnerIdentifier;buildConfigURI;buildConfigDigest;buildTrigger;runInvocationURI;sourceRepositoryVisibilityAtSigning;deploymentEnvironment;tokenSubject
	Name string `json:"name"`

	// Value of the extension, the whole of it.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 512",message="value must be at most 512 bytes: shorten it"
	Value string `json:"value"`
}

// The rules of data stand at what it is part of: the API server repeats the
// value that a field's own rule refuses, and this one may be a private key.

// KeyAuthority names public keys in PEM: RSA of 2048, 3072 or 4096 bits, ECDSA
// on P-256, P-384 or P-521, or Ed25519.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.configMapRef), has(self.data)].filter(x, x).size() == 1",message="key needs exactly one of secretRef, configMapRef and data"
// +kubebuilder:validation:XValidation:rule="!has(self.data) || !self.data.contains('PRIVATE KEY')",message="data holds a private key: write the public key only, and replace the private key, which others have read by now",fieldPath=".data"
// +kubebuilder:validation:XValidation:rule="!has(self.data) || self.data.contains('PRIVATE KEY') || self.data.matches('^[[:space:]]*(-----BEGIN (PUBLIC KEY-----[[:space:]]*\\n[A-Za-z0-9+/=[:space:]]+\\n-----END PUBLIC KEY|RSA PUBLIC KEY-----[[:space:]]*\\n[A-Za-z0-9+/=[:space:]]+\\n-----END RSA PUBLIC KEY)-----([ \\t\\r]*\\n[[:space:]]*|$))+$')",message="data must be one or more public keys in PEM and nothing else, each from its line -----BEGIN PUBLIC KEY----- to its line -----END PUBLIC KEY-----: remove all other text, and write data: | to keep the lines",fieldPath=".data"
//
// +kubebuilder:pruning:PreserveUnknownFields
type KeyAuthority struct {
	// SecretRef names a Secret in the same namespace. Every entry whose name
	// ends in .pub holds one or more keys.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	SecretRef *LocalObjectReference `json:"secretRef,omitempty"`

	// ConfigMapRef names a ConfigMap in the same namespace. Every entry whose
	// name ends in .pub holds one or more keys.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	ConfigMapRef *LocalObjectReference `json:"configMapRef,omitempty"`

	// Data holds one or more keys.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Data string `json:"data,omitempty"`
}

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

	// History is the last verified revisions, newest first, at most 5.
	//
	// +optional
	// +listType=atomic
	History []VerifiedRevision `json:"history,omitempty"`
}

// HistoryLimit bounds status.history.
const HistoryLimit = 5

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

// ModuleSource is a module in an OCI registry that is published to the cluster
// once it is verified.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=modsrc,categories=assay
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.observed.version`
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.conditions[?(@.type=="Verified")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ModuleSource struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec ModuleSourceSpec `json:"spec"`

	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ModuleSourceStatus `json:"status,omitempty"`
}

// ModuleSourceList is a list of ModuleSources.
//
// +kubebuilder:object:root=true
type ModuleSourceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ModuleSource `json:"items"`
}
