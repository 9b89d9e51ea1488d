package deploy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fleet is the Deployment's replicas behind its Service, each with its Pod at
// the API server.
type fleet struct {
	mu       sync.Mutex
	replicas []*controller // the Service's endpoints, as the slowest node knows them
	made     int
}

// service is how others in the cluster reach the replicas.
func (f *fleet) service() *service { return &service{endpoints: f.endpoints} }

func (f *fleet) endpoints() []*pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pods []*pod
	for _, c := range f.replicas {
		pods = append(pods, c.pod)
	}
	return pods
}

// all are the replicas at the moment.
func (f *fleet) all() []*controller {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.replicas)
}

// add starts one more replica, which is an endpoint once it is ready.
func (f *fleet) add(t *testing.T) *controller {
	t.Helper()
	c := start(t)
	f.mu.Lock()
	f.made++
	c.name = fmt.Sprintf("%s-%d", name, f.made)
	f.replicas = append(f.replicas, c)
	f.mu.Unlock()
	c.register(t)
	return c
}

// register makes its Pod, which the API server admits, running on a node.
func (c *controller) register(t *testing.T) {
	t.Helper()
	template := deployment(t).Spec.Template
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name, Labels: template.Labels}, Spec: template.Spec}
	p.Spec.NodeName = "node"
	create(t, p)
	t.Cleanup(func() { c.gone(t) })
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: c.ip, PodIPs: []corev1.PodIP{{IP: c.ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	if err := kube.Status().Update(background, p); err != nil {
		t.Fatal(err)
	}
}

// gone is what the kubelet reports at the end.
func (c *controller) gone(t *testing.T) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name}}
	if err := client.IgnoreNotFound(kube.Delete(background, p, client.GracePeriodSeconds(0))); err != nil {
		t.Error(err)
	}
}

// remove takes a replica out of the endpoints.
func (f *fleet) remove(c *controller) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = slices.DeleteFunc(f.replicas, func(other *controller) bool { return other == c })
}

// lag is how long some node goes on sending requests to a Pod that is deleted,
// until it has learned that it is no endpoint of the Service any more.
const lag = 3 * time.Second

// retire ends a replica as a cluster ends a Pod that is deleted: the container
// runs until preStop is over, while the nodes learn of it.
func (f *fleet) retire(t *testing.T, c *controller) {
	t.Helper()
	began := time.Now()
	learned := make(chan struct{})
	time.AfterFunc(lag, func() {
		f.remove(c)
		close(learned)
	})
	if hooks := c.container.Lifecycle; hooks != nil {
		time.Sleep(time.Duration(hooks.PreStop.Sleep.Seconds) * time.Second)
	}
	c.terminate(t)
	if took, grace := time.Since(began), time.Duration(*c.spec.TerminationGracePeriodSeconds)*time.Second; took > grace {
		t.Errorf("expected the Pod to end within %s, preStop and all, found %s", grace, took)
	}
	<-learned
	c.gone(t)
}

var leading = regexp.MustCompile(`(?m)^leader_election_master_status\{name="` + name + `"\} 1$`)

// leader is the one that works.
func (f *fleet) leader(t *testing.T) *controller {
	t.Helper()
	var found *controller
	await(t, "one replica leads", func() error {
		found = nil
		for _, c := range f.all() {
			metrics, err := c.metrics()
			if err != nil {
				return err
			}
			if leading.Match(metrics) && found != nil {
				return errors.New("two replicas lead")
			}
			if leading.Match(metrics) {
				found = c
			}
		}
		if found == nil {
			return errors.New("none leads")
		}
		return nil
	})
	return found
}

// evict asks for a Pod to be evicted, as a drain of its node does.
func evict(c *controller) error {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: c.name}}
	return kube.SubResource("eviction").Create(background, p, &policyv1.Eviction{ObjectMeta: p.ObjectMeta})
}

// countDisruptions does what the disruption controller does, which is not here:
// it says how many of the Pods that the budget selects may go.
func countDisruptions(t *testing.T) {
	t.Helper()
	b := &policyv1.PodDisruptionBudget{}
	if err := kube.Get(background, client.ObjectKey{Namespace: namespace, Name: name}, b); err != nil {
		t.Fatal(err)
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	var pods corev1.PodList
	if err := kube.List(background, &pods, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		t.Fatal(err)
	}
	healthy := int32(0)
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			healthy++
		}
	}
	expected := ptr.Deref(deployment(t).Spec.Replicas, 1)
	desired := expected - b.Spec.MaxUnavailable.IntVal
	b.Status = policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: b.Generation, ExpectedPods: expected, DesiredHealthy: desired, CurrentHealthy: healthy, DisruptionsAllowed: healthy - desired,
	}
	if err := kube.Status().Update(background, b); err != nil {
		t.Fatal(err)
	}
}
