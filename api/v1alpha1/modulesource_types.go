package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModuleSourceKind is the kind of a ModuleSource.
const ModuleSourceKind = "ModuleSource"

// AcceptDigestAnnotation accepts a version that now names another digest than
// it was verified at: its value is the new digest. It accepts nothing else: the
// digest must be signed as any other.
const AcceptDigestAnnotation = "source.assay.dev/accept-digest"

// Defaults that hold where a spec leaves them out.
const (
	DefaultInterval = 5 * time.Minute
	DefaultTimeout  = time.Minute
	// DefaultSignatureGracePeriod is that of spec.verify.signatureGracePeriod.
	DefaultSignatureGracePeriod = time.Minute
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

	// ImmutableVersions refuses a version that was verified at one digest and
	// now names another, until a person accepts that with the annotation
	// source.assay.dev/accept-digest, whose value is the new digest. It is on
	// unless it is false, and does not concern tag, which is mutable by its
	// nature.
	//
	// +optional
	// +kubebuilder:default=true
	ImmutableVersions *bool `json:"immutableVersions,omitempty"`

	// AllowDowngrade takes a highest match that is lower than the version that
	// is published. Without it that is refused while url, version and
	// versionFilter stay as they are, since then only a tag that was deleted can
	// be why.
	//
	// +optional
	AllowDowngrade bool `json:"allowDowngrade,omitempty"`

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
