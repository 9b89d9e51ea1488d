package story

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
)

// change makes or replaces a Secret or ConfigMap, in one write.
func (w *world) change(obj client.Object) {
	w.t.Helper()
	obj.SetNamespace(w.namespace)
	before := obj.DeepCopyObject().(client.Object)
	err := kube.Get(background, client.ObjectKeyFromObject(obj), before)
	if apierrors.IsNotFound(err) {
		w.create(obj)
		return
	}
	if err == nil {
		obj.SetResourceVersion(before.GetResourceVersion())
		err = kube.Update(background, obj)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(obj client.Object) {
	w.t.Helper()
	obj.SetNamespace(w.namespace)
	if err := kube.Delete(background, obj); err != nil {
		w.t.Fatal(err)
	}
}

// secret is a Secret with entries.
func secret(name string, entries map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: entries}
}

// configMap is a ConfigMap with entries.
func configMap(name string, entries map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: entries}
}

// bySecret and byConfigMap are authorities with keys in an object.
func bySecret(authority, name string) v1alpha1.Authority {
	return v1alpha1.Authority{Name: authority, Key: &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.LocalObjectReference{Name: name}}, TransparencyLog: v1alpha1.TransparencyLogIgnore}
}

func byConfigMap(authority, name string) v1alpha1.Authority {
	return v1alpha1.Authority{Name: authority, Key: &v1alpha1.KeyAuthority{ConfigMapRef: &v1alpha1.LocalObjectReference{Name: name}}, TransparencyLog: v1alpha1.TransparencyLogIgnore}
}

// trusts edits a spec to trust these authorities, any one of them.
func trusts(authorities ...v1alpha1.Authority) func(*v1alpha1.ModuleSourceSpec) {
	return func(s *v1alpha1.ModuleSourceSpec) {
		s.Verify.Authorities, s.Verify.Threshold = authorities, nil
		if len(authorities) > 1 {
			s.Verify.Threshold = ptr.To[int32](1)
		}
	}
}

// release pushes a module and signs it with the world's key.
func (w *world) release(repo, version, format string) string {
	w.t.Helper()
	digest := w.push(repo, version, versionFile(version))
	w.sign(repo, digest, format, w.key)
	return digest
}

// released is what is expected of a module of release.
func (w *world) released(version, digest string) expectation {
	return expectation{conditions: published(), observed: at(version, digest), artifact: at(version, digest), files: withVendor(versionFile(version))}
}
