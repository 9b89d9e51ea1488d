// Package inputs reads a ModuleSource and the Secrets and ConfigMaps that it names
// into plain data: a policy, and what to ask a registry for. The controller reads
// them from the API server, the command line from manifests.
//
// An error names the field, the object and the entry, and never repeats content.
package inputs

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Reader reads what ModuleSources name.
type Reader struct {
	// Objects has the Secrets and ConfigMaps: an error of the kind NotFound says
	// that one does not exist, any other that it cannot be read.
	Objects client.Reader
	// DefaultRoot is the trusted root of those that name none.
	DefaultRoot func() (*verify.TrustedRoot, error)
	// AllowInsecureCredentials allows insecure: true beside secretRef.
	AllowInsecureCredentials bool
}

// Request reads the rest of the spec, and spec.secretRef. The owner, and what the
// revision is held against, are the caller's to add.
func (r Reader) Request(ctx context.Context, obj *v1alpha1.ModuleSource, policy verify.Policy) (source.Request, *source.Error) {
	spec := &obj.Spec
	repository, err := registry.ParseRepository(spec.URL, spec.Insecure)
	if err != nil {
		return source.Request{}, invalidSpec("url", err.Error())
	}
	selector, err := registry.NewSelector(spec.Version, spec.Tag, spec.Digest, spec.VersionFilter)
	if bad := (*registry.SelectorError)(nil); errors.As(err, &bad) {
		return source.Request{}, invalidSpec(bad.Field, bad.Problem)
	}
	credentials, failed := r.credentials(ctx, obj, repository)
	if failed != nil {
		return source.Request{}, failed
	}
	return source.Request{Repository: repository, Selector: selector, Credentials: credentials, Policy: policy}, nil
}

// credentials reads spec.secretRef.
func (r Reader) credentials(ctx context.Context, obj *v1alpha1.ModuleSource, repository registry.Repository) (registry.Credentials, *source.Error) {
	const field = "secretRef"
	ref := obj.Spec.SecretRef
	if ref == nil {
		return registry.Credentials{}, nil
	}
	if obj.Spec.Insecure && !r.AllowInsecureCredentials {
		return registry.Credentials{}, invalidSpec(field, "expected no credentials together with insecure: true, which would send them in the clear, found secretRef: remove one of them, or start the controller with --allow-insecure-credentials")
	}
	if obj.Spec.Suspend {
		return registry.Credentials{}, nil // Nobody is asked: that they are missing would not be noticed to have healed.
	}
	secret := &corev1.Secret{}
	if err := r.Objects.Get(ctx, types.NamespacedName{Namespace: obj.Namespace, Name: ref.Name}, secret); err != nil {
		return registry.Credentials{}, unreadable(v1alpha1.ReasonAuthenticationFailed, field, "Secret", ref.Name, err)
	}
	raw, ok := secret.Data[corev1.DockerConfigJsonKey]
	if secret.Type != corev1.SecretTypeDockerConfigJson || !ok {
		return registry.Credentials{}, Failure(source.Transient, v1alpha1.ReasonAuthenticationFailed,
			"spec.%s: Secret %q: expected the type %s with the entry %s, found type %q", field, ref.Name, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, secret.Type)
	}
	credentials, err := registry.ParseDockerConfig(raw, repository)
	if err != nil {
		return registry.Credentials{}, Failure(source.Transient, v1alpha1.ReasonAuthenticationFailed,
			"spec.%s: Secret %q, entry %s: %v", field, ref.Name, corev1.DockerConfigJsonKey, err)
	}
	return credentials, nil
}

// unreadable words a reference that cannot be read. The API server's own text
// stays out: it may change from one attempt to the next.
func unreadable(reason, field, kind, name string, err error) *source.Error {
	why := "the API server did not answer with it"
	var told *UnreadableError
	switch {
	case errors.As(err, &told):
		why = told.Why
	case apierrors.IsNotFound(err):
		why = "it does not exist in this namespace"
	case apierrors.IsForbidden(err):
		why = "the controller may not read it"
	}
	return Failure(source.Transient, reason, "spec.%s: %s %q: %s", field, kind, name, why)
}

// UnreadableError is an error of [Reader.Objects] that says itself why an object
// cannot be read, where it is not an API server that was asked.
type UnreadableError struct {
	// Why completes a sentence about the object. It is the same on every
	// attempt, and holds nothing of the object's content.
	Why string
	// Err is an error of the kind NotFound where the object does not exist.
	Err error
}

func (e *UnreadableError) Error() string { return e.Why }

// Unwrap returns Err.
func (e *UnreadableError) Unwrap() error { return e.Err }

func invalidSpec(field, problem string) *source.Error {
	return Failure(source.Invalid, v1alpha1.ReasonInvalidSpec, "spec.%s: %s", field, problem)
}

// Failure is an error about the spec or what it names.
func Failure(kind source.Kind, reason, format string, args ...any) *source.Error {
	return &source.Error{Step: source.StepInputs, Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}
