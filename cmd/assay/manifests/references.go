package manifests

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/controllers/inputs"
)

// References has the Secrets and ConfigMaps that ModuleSources name: those that
// were given, those of the manifests, and those of a cluster, in this order. It
// is what [inputs.Reader] reads from.
type References struct {
	// Cluster is read where nothing else has an object; nil for no cluster.
	Cluster client.Reader
	// ClusterName is what messages call it.
	ClusterName string

	given     map[reference]client.Object
	manifests map[reference]entry
}

// reference names an object; without a namespace, it is one of every namespace.
type reference struct{ kind, namespace, name string }

// entry is an object of a manifest.
type entry struct {
	at Position
	// object is nil where it cannot be read, and why says why not.
	object client.Object
	why    string
}

// NewReferences takes what a set of manifests has. Objects without a namespace are
// of the given one.
func NewReferences(set *Set, namespace string) *References {
	r := &References{given: map[reference]client.Object{}, manifests: map[reference]entry{}}
	for _, o := range set.Objects {
		if o.isSource() {
			continue
		}
		ref, e := o.reference(namespace)
		if before, ok := r.manifests[ref]; ok {
			e = oneOf(before, e)
		}
		r.manifests[ref] = e
	}
	return r
}

// oneOf is what two manifests of the same object amount to.
func oneOf(a, b entry) entry {
	switch {
	case b.object == nil:
		return a
	case a.object == nil:
		return b
	case sameContent(a.object, b.object):
		return a
	default:
		return entry{at: a.at, why: fmt.Sprintf("it is in %s and in %s with other content: check one at a time what is applied to one cluster", a.at, b.at)}
	}
}

func sameContent(a, b client.Object) bool {
	if a, ok := a.(*corev1.Secret); ok {
		b := b.(*corev1.Secret)
		return a.Type == b.Type && maps.EqualFunc(a.Data, b.Data, bytes.Equal)
	}
	x, y := a.(*corev1.ConfigMap), b.(*corev1.ConfigMap)
	return maps.Equal(x.Data, y.Data) && maps.EqualFunc(x.BinaryData, y.BinaryData, bytes.Equal)
}

// reference reads a Secret or ConfigMap, or what becomes one in the cluster.
func (o *Object) reference(namespace string) (reference, entry) {
	ref := reference{kind: o.kind(), namespace: o.namespace(namespace), name: o.name()}
	e := entry{at: o.Position}
	switch _, encrypted := o.Content["sops"]; {
	case ref.kind == "SealedSecret":
		ref.kind = "Secret"
		e.why = fmt.Sprintf("it is a SealedSecret in %s, which only its cluster can read", o.Position)
	case ref.kind == "ExternalSecret":
		ref.kind = "Secret"
		if target := o.text("spec", "target", "name"); target != "" {
			ref.name = target
		}
		e.why = fmt.Sprintf("it is an ExternalSecret in %s, whose content is elsewhere", o.Position)
	case encrypted:
		e.why = fmt.Sprintf("it is encrypted with SOPS in %s", o.Position)
	default:
		object, err := o.decode()
		if err != nil {
			e.why = fmt.Sprintf("it cannot be read in %s: %v", o.Position, err)
			break
		}
		object.SetNamespace(ref.namespace)
		e.object = object
	}
	return ref, e
}

// decode reads a Secret or ConfigMap. An error says nothing of its content.
func (o *Object) decode() (client.Object, error) {
	if len(o.repeated) > 0 {
		return nil, fmt.Errorf("expected %s once, found it twice", o.repeated[0].Field)
	}
	raw, err := json.Marshal(o.Content)
	if err != nil {
		return nil, err
	}
	if o.kind() == "ConfigMap" {
		configMap := &corev1.ConfigMap{}
		if json.Unmarshal(raw, configMap) != nil {
			return nil, fmt.Errorf("expected a ConfigMap with texts as data, and base64 as binaryData, found something else")
		}
		return configMap, nil
	}
	secret := &corev1.Secret{}
	if json.Unmarshal(raw, secret) != nil {
		return nil, fmt.Errorf("expected a Secret with base64 as data, and texts as stringData, found something else")
	}
	// What the API server does with stringData.
	if secret.Data == nil && len(secret.StringData) > 0 {
		secret.Data = map[string][]byte{}
	}
	for name, text := range secret.StringData {
		secret.Data[name] = []byte(text)
	}
	secret.StringData = nil
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	return secret, nil
}

// Get reads an object into a *corev1.Secret or *corev1.ConfigMap. Errors are of
// type *inputs.UnreadableError.
func (r *References) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	ref := reference{kind: kindOf(into), namespace: key.Namespace, name: key.Name}
	if found := r.here(ref); found != nil {
		return assign(into, found)
	}
	why, known := r.manifests[ref]
	if r.Cluster != nil {
		err := r.Cluster.Get(ctx, key, into)
		switch {
		case err == nil:
			return nil
		case !apierrors.IsNotFound(err):
			return &inputs.UnreadableError{Why: fmt.Sprintf("%s did not answer with it: %s", r.ClusterName, printable(err.Error(), 200)), Err: ctx.Err()}
		case !known:
			return r.missing(ref, "it is neither in the manifests nor in "+r.ClusterName)
		}
	}
	if known {
		return r.missing(ref, why.why)
	}
	return r.missing(ref, "it is not in the manifests")
}

// List is not asked for.
func (r *References) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("manifests are not listed")
}

// readable reports whether a Secret is given, or in the manifests, or looked for
// in a cluster.
func (r *References) readable(ref reference) bool { return r.Cluster != nil || r.here(ref) != nil }

// here is an object that was given or is in the manifests; nil for none.
func (r *References) here(ref reference) client.Object {
	if found, ok := r.given[ref]; ok {
		return found
	}
	if found, ok := r.given[reference{kind: ref.kind, name: ref.name}]; ok {
		return found
	}
	return r.manifests[ref].object
}

// missing says what to do about an object that cannot be had.
func (r *References) missing(ref reference, why string) error {
	if other, ok := r.elsewhere(ref); ok {
		why += fmt.Sprintf(" (one of the same name is in the namespace %s, in %s)", other.namespace, r.manifests[other].at)
	}
	flag, resource := "--secret", "secrets"
	if ref.kind == "ConfigMap" {
		flag, resource = "--configmap", "configmaps"
	}
	why += fmt.Sprintf(": give it with %s %s=FILE", flag, ref.name)
	if r.Cluster == nil {
		why += ", or have it read from a cluster with --kubeconfig FILE"
	}
	return &inputs.UnreadableError{Why: why, Err: apierrors.NewNotFound(schema.GroupResource{Resource: resource}, ref.name)}
}

// elsewhere is an object of the same name in another namespace: the first, so that
// messages stay the same.
func (r *References) elsewhere(ref reference) (reference, bool) {
	others := slices.SortedFunc(maps.Keys(r.manifests), func(a, b reference) int { return cmp.Compare(a.namespace, b.namespace) })
	for _, other := range others {
		if other.kind == ref.kind && other.name == ref.name && other.namespace != ref.namespace {
			return other, true
		}
	}
	return reference{}, false
}

func kindOf(object client.Object) string {
	if _, ok := object.(*corev1.ConfigMap); ok {
		return "ConfigMap"
	}
	return "Secret"
}

// assign copies an object of the same kind.
func assign(into, from client.Object) error {
	switch into := into.(type) {
	case *corev1.Secret:
		from.(*corev1.Secret).DeepCopyInto(into)
	case *corev1.ConfigMap:
		from.(*corev1.ConfigMap).DeepCopyInto(into)
	}
	return nil
}
