package deploy

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
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
		// What hardens it, taken away.
		"runAsNonRoot":             func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil },
		"runAsUser":                func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser = ptr.To[int64](0) },
		"seccompProfile":           func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
		"allowPrivilegeEscalation": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"capabilities":             func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil },
		"capabilities.drop":        func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities.Drop = nil },
		"securityContext":          func(s *corev1.PodSpec) { s.SecurityContext = nil },
		"container's":              func(s *corev1.PodSpec) { s.Containers[0].SecurityContext = nil },
		// What it could be given.
		"unconfined": func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined },
		"escalation": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = ptr.To(true) },
		"privileged": func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.Privileged = ptr.To(true)
			s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil
		},
		"a capability": func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"}
		},
		"the node's ports":     func(s *corev1.PodSpec) { s.Containers[0].Ports[0].HostPort = 9090 },
		"the node's network":   func(s *corev1.PodSpec) { s.HostNetwork = true },
		"the node's processes": func(s *corev1.PodSpec) { s.HostPID = true },
		"the node's files": func(s *corev1.PodSpec) {
			s.Volumes[0].VolumeSource = corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}
		},
		"another container": func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "init", Image: "init"}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			if err := admit(edit); !apierrors.IsForbidden(err) {
				t.Errorf("expected the Pod to be refused, found %v", err)
			}
		})
	}
}

// What the restricted standard leaves open, whole, so that a field more or less
// shows.
func TestPodIsHardened(t *testing.T) {
	spec := deployment(t).Spec.Template.Spec
	pod := &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if diff := cmp.Diff(pod, spec.SecurityContext); diff != "" {
		t.Errorf("the Pod's securityContext (-expected +found):\n%s", diff)
	}
	container := &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if diff := cmp.Diff(container, spec.Containers[0].SecurityContext); diff != "" {
		t.Errorf("the container's securityContext (-expected +found):\n%s", diff)
	}
	if len(spec.InitContainers) > 0 || spec.PriorityClassName != "" {
		t.Errorf("expected one container, and the priority to be the user's, found %v, %q", spec.InitContainers, spec.PriorityClassName)
	}
}

// The Namespace says so itself, in all three modes.
func TestNamespaceIsRestricted(t *testing.T) {
	found := &corev1.Namespace{}
	if err := kube.Get(background, client.ObjectKey{Name: namespace}, found); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		if level := found.Labels["pod-security.kubernetes.io/"+mode]; level != "restricted" {
			t.Errorf("expected the Namespace to %s restricted, found %q", mode, level)
		}
	}
}

// Go's collector keeps below the container's limit, with room for what the
// kernel counts and it does not.
func TestMemoryLimitOfGoIsBelowTheContainers(t *testing.T) {
	for limit, want := range map[string]string{"256Mi": "256000000", "1Gi": "1024000000", "300M": "287000000"} {
		p := newPod(t, own())
		p.container = p.container.DeepCopy()
		p.container.Resources.Limits[corev1.ResourceMemory] = resource.MustParse(limit)
		found := p.variables(t)["GOMEMLIMIT"]
		if found != want {
			t.Errorf("limit %s: expected GOMEMLIMIT=%s, found %s", limit, want, found)
		}
		most, soft := resource.MustParse(limit), resource.MustParse(found)
		if share := soft.AsApproximateFloat64() / most.AsApproximateFloat64(); share < 0.9 || share > 0.97 {
			t.Errorf("limit %s: expected 90 to 97%% of it, found %.1f%%", limit, 100*share)
		}
	}
}

// Replicas are on different nodes and in different zones where that can be, and
// none waits for it; those of another revision do not count.
func TestReplicasAreSpread(t *testing.T) {
	d := deployment(t)
	var keys []string
	for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
		keys = append(keys, c.TopologyKey)
		if c.MaxSkew != 1 || c.WhenUnsatisfiable != corev1.ScheduleAnyway || !slices.Equal(c.MatchLabelKeys, []string{appsv1.DefaultDeploymentUniqueLabelKey}) ||
			!reflect.DeepEqual(c.LabelSelector, d.Spec.Selector) {
			t.Errorf("expected a skew of 1 among the Pods of a revision, if it can be, found %+v", c)
		}
	}
	if want := []string{corev1.LabelHostname, corev1.LabelTopologyZone}; !slices.Equal(want, keys) {
		t.Errorf("expected to spread over %v, found %v", want, keys)
	}
}

// Everything that selects the controller's Pods selects those, and nothing else
// in the namespace.
func TestSelectorsAreTheDeployments(t *testing.T) {
	d := deployment(t)
	if !labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(labels.Set(d.Spec.Template.Labels)) {
		t.Error("the Deployment does not select its own Pods")
	}
	for what, selector := range map[string]map[string]string{
		"Service":             as[corev1.Service](t, named(t, installed, "Service", name)).Spec.Selector,
		"PodDisruptionBudget": budget(t).Spec.Selector.MatchLabels,
		"NetworkPolicy":       policy(t).Spec.PodSelector.MatchLabels,
	} {
		if !maps.Equal(selector, d.Spec.Selector.MatchLabels) {
			t.Errorf("%s: expected to select %v, found %v", what, d.Spec.Selector.MatchLabels, selector)
		}
	}
}

func budget(t *testing.T) policyv1.PodDisruptionBudget {
	t.Helper()
	return as[policyv1.PodDisruptionBudget](t, named(t, installed, "PodDisruptionBudget", name))
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
