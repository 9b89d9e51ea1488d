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
// +kubebuilder:validation:XValidation:rule="self.authorities.map(a, has(a.key.data) ? a.key.data.split('-----BEGIN ').size() - 1 : 1).sum() <= 32",message="authorities must have at most 32 public keys in all: remove those that sign no more"
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
}

// Authority is one party that may sign.
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
	// +required
	Key KeyAuthority `json:"key"`

	// TransparencyLog says whether the signature must be recorded in a
	// transparency log. Ignore: it need not be, and if it is, the record is
	// not looked at.
	//
	// +required
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self == 'Ignore'",message="transparencyLog must be Ignore: this version does not look at transparency logs, and signatures that are recorded in one are accepted too"
	TransparencyLog TransparencyLog `json:"transparencyLog"`
}

// TransparencyLog says what an authority requires of a transparency log.
type TransparencyLog string

// TransparencyLogIgnore takes signatures that no transparency log recorded.
const TransparencyLogIgnore TransparencyLog = "Ignore"

// The rules of data stand at what it is part of: the API server repeats the
// value that a field's own rule refuses, and this one may be a private key.

// KeyAuthority names public keys in PEM: RSA of 2048, 3072 or 4096 bits, ECDSA
// on P-256, P-384 or P-521, or Ed25519.
//
// +kubebuilder:validation:XValidation:rule="[has(self.secretRef), has(self.configMapRef), has(self.data)].filter(x, x).size() == 1",message="key needs exactly one of secretRef, configMapRef and data"
// +kubebuilder:validation:XValidation:rule="!has(self.data) || !self.data.contains('PRIVATE KEY')",message="data holds a private key: write the public key only, and replace the private key, which others have read by now",fieldPath=".data"
// +kubebuilder:validation:XValidation:rule="!has(self.data) || self.data.contains('PRIVATE KEY') || self.data.matches('^[[:space:]]*(-----BEGIN (PUBLIC KEY-----[[:space:]]*\\n[A-Za-z0-9+/=[:space:]]+\\n-----END PUBLIC KEY|RSA PUBLIC KEY-----[[:space:]]*\\n[A-Za-z0-9+/=[:space:]]+\\n-----END RSA PUBLIC KEY)-----([ \\t\\r]*\\n[[:space:]]*|$))+$')",message="data must be one or more public keys in PEM and nothing else, each from its line -----BEGIN PUBLIC KEY----- to its line -----END PUBLIC KEY-----: remove all other text, and write data: | to keep the lines",fieldPath=".data"
type KeyAuthority struct {
	// SecretRef names a Secret in the same namespace. Every entry whose name
	// ends in .pub holds one or more keys.
	//
	// +optional
	SecretRef *LocalObjectReference `json:"secretRef,omitempty"`

	// ConfigMapRef names a ConfigMap in the same namespace. Every entry whose
	// name ends in .pub holds one or more keys.
	//
	// +optional
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
	// SubjectPublicKeyInfo of the key.
	//
	// +optional
	KeyFingerprint string `json:"keyFingerprint,omitempty"`
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
