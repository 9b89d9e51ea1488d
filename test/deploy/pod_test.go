package deploy

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The namespace admits nothing but restricted Pods, and ours is one. Nobody
// makes Pods of Deployments here, so that the test makes it.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func TestPodIsRestricted(t *testing.T) {
	template := deployment(t).Spec.Template
	admit := func(edit func(*corev1.PodSpec)) error {
		spec := template.Spec.DeepCopy()
		edit(spec)
		return kube.Create(background, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "test", Labels: template.Labels}, Spec: *spec,
		}, client.DryRunAll)
	}
	if err := admit(func(*corev1.PodSpec) {}); err != nil {
		t.Errorf("expected the Pod to be admitted, found: %v", err)
	}
	for what, edit := range map[string]func(*corev1.PodSpec){
		"as root":      func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil },
		"unconfined":   func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"capabilities": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil },
	} {
		if err := admit(edit); !apierrors.IsForbidden(err) {
			t.Errorf("%s: expected the Pod to be refused, found %v", what, err)
		}
	}
	// What that standard leaves open.
	if security := template.Spec.Containers[0].SecurityContext; security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
		t.Error("expected a read-only root file system")
	}
}

// Two Pods at a time would each answer 404 for what the other has on its disk.
func TestOnePodAtATime(t *testing.T) {
	d := deployment(t)
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("expected one replica and Recreate, found %d and %s", *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
}

// Only the Pod gets a token of the ServiceAccount.
func TestTokenIsMountedOnlyInThePod(t *testing.T) {
	account := &corev1.ServiceAccount{}
	if err := installed.find("ServiceAccount", name, account); err != nil {
		t.Fatal(err)
	}
	spec := deployment(t).Spec.Template.Spec
	if spec.ServiceAccountName != name || account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken ||
		spec.AutomountServiceAccountToken == nil || !*spec.AutomountServiceAccountToken {
		t.Errorf("expected a token in the Pod and nowhere else, found %+v", account)
	}
}
