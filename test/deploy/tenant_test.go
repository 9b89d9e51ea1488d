package deploy

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/module"
	"github.com/assay-dev/assay/test/registry"
	"github.com/assay-dev/assay/test/signing"
)

// tenant is one who uses the controller: a namespace and a registry.
type tenant struct {
	namespace string
	registry  *registry.Server
	labels    map[string]string // of its ModuleSources
}

var tenants atomic.Int64

func newTenant(t *testing.T) *tenant {
	t.Helper()
	server, err := registry.Referrers(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w := &tenant{namespace: newNamespace(t), registry: server}
	// The controllers of other tests would look for a registry that is gone.
	t.Cleanup(func() {
		if err := kube.DeleteAllOf(background, &v1alpha1.ModuleSource{}, client.InNamespace(w.namespace)); err != nil {
			t.Error(err)
		}
	})
	return w
}

func newNamespace(t *testing.T) string {
	t.Helper()
	n := fmt.Sprintf("tenant-%d", tenants.Add(1))
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}})
	return n
}

func create(t *testing.T, obj client.Object) {
	t.Helper()
	if err := kube.Create(background, obj); err != nil {
		t.Fatal(err)
	}
}

// push pushes a module under tags and returns its digest.
func (w *tenant) push(t *testing.T, repository, version string, tags ...string) string {
	t.Helper()
	image, err := module.New(module.Options{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	var digest string
	for _, tag := range append(tags, version) {
		if digest, err = module.Push(background, w.registry.Host()+"/"+repository+":"+tag, image); err != nil {
			t.Fatal(err)
		}
	}
	return digest
}

// signed pushes a module that is signed.
func (w *tenant) signed(t *testing.T, repository, version string, key *signing.Key) string {
	t.Helper()
	digest := w.push(t, repository, version)
	if err := signing.SignCosign(background, w.registry.Host()+"/"+repository+"@"+digest, key); err != nil {
		t.Fatal(err)
	}
	return digest
}

func newKey(t *testing.T) *signing.Key {
	t.Helper()
	key, err := signing.NewKey(signing.ECDSAP256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *tenant) source(name, repository string, key v1alpha1.KeyAuthority) *v1alpha1.ModuleSource {
	return &v1alpha1.ModuleSource{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name, Labels: w.labels},
		Spec: v1alpha1.ModuleSourceSpec{
			URL: "oci://" + w.registry.Host() + "/" + repository, Insecure: true, Version: "1.0.0",
			Interval: metav1.Duration{Duration: time.Hour}, Timeout: metav1.Duration{Duration: 30 * time.Second},
			Verify: v1alpha1.Verify{Authorities: []v1alpha1.Authority{
				{Name: "release-key", Key: &key, TransparencyLog: v1alpha1.TransparencyLogIgnore},
			}},
		},
	}
}

func (w *tenant) get(name string) (*v1alpha1.ModuleSource, error) {
	obj := &v1alpha1.ModuleSource{}
	err := kube.Get(background, client.ObjectKey{Namespace: w.namespace, Name: name}, obj)
	return obj, err
}

// patch changes a ModuleSource.
func (w *tenant) patch(t *testing.T, name string, edit func(*v1alpha1.ModuleSource)) {
	t.Helper()
	obj, err := w.get(name)
	if err != nil {
		t.Fatal(err)
	}
	before := obj.DeepCopy()
	edit(obj)
	if err := kube.Patch(background, obj, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// poll asks for a poll.
func (w *tenant) poll(t *testing.T, name, token string) {
	t.Helper()
	w.patch(t, name, func(obj *v1alpha1.ModuleSource) {
		metav1.SetMetaDataAnnotation(&obj.ObjectMeta, meta.ReconcileRequestAnnotation, token)
	})
}

// await waits until conditions of a ModuleSource are as wanted, given as
// "status/reason".
func (w *tenant) await(t *testing.T, name string, want map[string]string) *v1alpha1.ModuleSource {
	t.Helper()
	var obj *v1alpha1.ModuleSource
	await(t, fmt.Sprintf("%s/%s is %v", w.namespace, name, want), func() (err error) {
		if obj, err = w.get(name); err != nil {
			return err
		}
		if obj.Status.ObservedGeneration != obj.Generation {
			return errors.New("it is not reported yet")
		}
		for kind, wanted := range want {
			if c := apimeta.FindStatusCondition(obj.Status.Conditions, kind); c == nil || string(c.Status)+"/"+c.Reason != wanted {
				return fmt.Errorf("its conditions are %+v", obj.Status.Conditions)
			}
		}
		return nil
	})
	return obj
}
