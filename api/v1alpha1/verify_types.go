package v1alpha1

import (
	"fmt"
	"regexp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

	// DenyDigests are digests of manifests that are refused whoever signed them,
	// such as one that is known to be bad. What is published of them is
	// withdrawn.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.all(d, d.matches('^sha256:[a-f0-9]{64}$'))",message="denyDigests must each be sha256: and 64 hexadecimal digits in lower case, as the registry reports it"
	DenyDigests []string `json:"denyDigests,omitempty"`

	// SignatureGracePeriod is how long a new digest may be without any signature
	// before that is a refusal, counted from when this controller first saw it,
	// between 0s and 1h: authors push first, and sign then.
	//
	// +optional
	// +kubebuilder:default="1m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,9}([.][0-9]{1,9})?(ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="signatureGracePeriod must be a duration between 0s and 1h, such as 1m"
	SignatureGracePeriod *metav1.Duration `json:"signatureGracePeriod,omitempty"`

	// UnknownFields are the paths of fields, at any depth, that this version
	// does not know. The API server keeps them, and the controller refuses
	// them: dropped, a misspelt field would be another trust than was written.
	UnknownFields []string `json:"-"`
}

// Authority is one party that may sign, with keys or with certificates.
//
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) && !has(self.notAfter) || has(self.keyless) || !has(self.transparencyLog) || self.transparencyLog != 'Ignore'",message="notBefore and notAfter need somebody who says when a signature was made, and a key with transparencyLog: Ignore has nobody: remove them, or write transparencyLog: Require"
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || !has(self.notAfter) || timestamp(self.notBefore) <= timestamp(self.notAfter)",message="notAfter must not be before notBefore: exchange them"
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

	// NotBefore is the earliest time of a signature that counts, in RFC 3339. A
	// signature's time is what the transparency log and timestamp authorities
	// in the trusted root say, all of them.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=25
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self) > timestamp('1970-01-01T00:00:00Z')",message="notBefore must be a time in RFC 3339, such as 2026-01-31T12:00:00Z"
	NotBefore string `json:"notBefore,omitempty"`

	// NotAfter is the latest time of a signature that counts, in RFC 3339: for a
	// key or identity that was compromised at a known time, whose signatures
	// from before are still good. A thief can sign, but not in the past.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=25
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$') && timestamp(self) > timestamp('1970-01-01T00:00:00Z')",message="notAfter must be a time in RFC 3339, such as 2026-01-31T12:00:00Z"
	NotAfter string `json:"notAfter,omitempty"`
}

// timePattern is the form of notBefore and notAfter, which the API server
// demands too.
var timePattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$`)

// ParseTime reads an authority's notBefore or notAfter: RFC 3339 in whole
// seconds, after 1970. The result is in UTC.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !timePattern.MatchString(text) || t.Unix() <= 0 {
		return time.Time{}, fmt.Errorf("expected a time in RFC 3339, such as 2026-01-31T12:00:00Z, found %.100q", text)
	}
	return t.UTC(), nil
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
