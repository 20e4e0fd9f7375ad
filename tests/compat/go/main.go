// Driver of the compatibility suite for nacos-sdk-go v2: obeys the runner's JSON commands on standard input and reports
// replies and events on standard output. What the operations mean stands in tests/compat/README.md.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/naming_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"
)

type instance struct {
	Ip        string            `json:"ip"`
	Port      uint64            `json:"port"`
	Weight    float64           `json:"weight"`
	Healthy   bool              `json:"healthy"`
	Enabled   bool              `json:"enabled"`
	Ephemeral bool              `json:"ephemeral"`
	Cluster   string            `json:"cluster"`
	Metadata  map[string]string `json:"metadata"`
}

type command struct {
	Id        int        `json:"id"`
	Op        string     `json:"op"`
	Service   string     `json:"service"`
	Group     string     `json:"group"`
	Clusters  []string   `json:"clusters"`
	Instance  instance   `json:"instance"`
	Instances []instance `json:"instances"`
	Page      uint32     `json:"page"`
	Size      uint32     `json:"size"`
	Tag       string     `json:"tag"`
	DataId    string     `json:"dataId"`
	Content   string     `json:"content"`
	Type      string     `json:"type"`
	Md5       string     `json:"md5"`
}

// The server, and as whom to speak to it.
type target struct {
	Host      string `json:"host"`
	Port      uint64 `json:"port"`
	GrpcPort  uint64 `json:"grpcPort"`
	Namespace string `json:"namespace"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

type operation func(c command) (any, error)

type driver struct {
	naming        naming_client.INamingClient
	config        config_client.IConfigClient
	subscriptions map[string]*vo.SubscribeParam

	lock sync.Mutex
	out  *os.File
}

func main() {
	d := &driver{subscriptions: map[string]*vo.SubscribeParam{}, out: os.Stdout}
	os.Stdout = os.Stderr
	var to target
	if err := json.Unmarshal([]byte(os.Args[1]), &to); err != nil {
		fmt.Fprintln(os.Stderr, "no server to talk to:", err)
		os.Exit(1)
	}
	if err := d.connect(to); err != nil {
		fmt.Fprintln(os.Stderr, "cannot create the clients:", err)
		os.Exit(1)
	}
	ops := d.operations()
	names := make([]string, 0, len(ops))
	for name := range ops {
		names = append(names, name)
	}
	d.send(map[string]any{"event": "hello", "ops": names})

	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			fmt.Fprintln(os.Stderr, "not a command:", err)
			os.Exit(1)
		}
		d.obey(ops, c)
		if c.Op == "shutdown" {
			os.Exit(0)
		}
	}
}

func (d *driver) connect(to target) (err error) {
	param := vo.NacosClientParam{
		ClientConfig: constant.NewClientConfig(
			constant.WithNamespaceId(to.Namespace),
			constant.WithUsername(to.Username),
			constant.WithPassword(to.Password),
			constant.WithTimeoutMs(5000),
			constant.WithNotLoadCacheAtStart(true),
			constant.WithUpdateCacheWhenEmpty(true),
			constant.WithDisableUseSnapShot(true),
			constant.WithCacheDir("cache"),
			constant.WithLogDir("log"),
		),
		ServerConfigs: []constant.ServerConfig{*constant.NewServerConfig(
			to.Host, to.Port, constant.WithContextPath("/nacos"), constant.WithGrpcPort(to.GrpcPort),
		)},
	}
	if d.naming, err = clients.NewNamingClient(param); err != nil {
		return err
	}
	d.config, err = clients.NewConfigClient(param)
	return err
}

func (d *driver) obey(ops map[string]operation, c command) {
	reply := map[string]any{"id": c.Id}
	run, known := ops[c.Op]
	if !known {
		run = func(command) (any, error) { return nil, errors.New("not offered: " + c.Op) }
	}
	if value, err := run(c); err != nil {
		reply["ok"] = false
		reply["error"] = err.Error()
	} else {
		reply["ok"] = true
		reply["value"] = value
	}
	d.send(reply)
}

func (d *driver) send(message map[string]any) {
	line, err := json.Marshal(message)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot report:", err)
		return
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	d.out.Write(append(line, '\n'))
}

func (d *driver) operations() map[string]operation {
	return map[string]operation{
		"register": func(c command) (any, error) { return d.naming.RegisterInstance(registration(c, c.Instance)) },
		"update": func(c command) (any, error) {
			return d.naming.UpdateInstance(vo.UpdateInstanceParam(registration(c, c.Instance)))
		},
		"deregister": func(c command) (any, error) {
			return d.naming.DeregisterInstance(vo.DeregisterInstanceParam{
				Ip: c.Instance.Ip, Port: c.Instance.Port, Cluster: c.Instance.Cluster,
				ServiceName: c.Service, GroupName: c.Group, Ephemeral: c.Instance.Ephemeral,
			})
		},
		"batch_register": func(c command) (any, error) {
			batch := vo.BatchRegisterInstanceParam{ServiceName: c.Service, GroupName: c.Group}
			for _, i := range c.Instances {
				batch.Instances = append(batch.Instances, registration(c, i))
			}
			return d.naming.BatchRegisterInstance(batch)
		},
		"list": func(c command) (any, error) {
			found, err := d.naming.SelectAllInstances(vo.SelectAllInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			return hosts(found), err
		},
		"select_healthy": func(c command) (any, error) {
			found, err := d.naming.SelectInstances(vo.SelectInstancesParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group, HealthyOnly: true,
			})
			return hosts(found), err
		},
		"select_one": func(c command) (any, error) {
			found, err := d.naming.SelectOneHealthyInstance(vo.SelectOneHealthInstanceParam{
				Clusters: c.Clusters, ServiceName: c.Service, GroupName: c.Group,
			})
			if err != nil {
				return nil, err
			}
			return host(*found), nil
		},
		"services": func(c command) (any, error) {
			found, err := d.naming.GetAllServicesInfo(vo.GetAllServiceInfoParam{
				GroupName: c.Group, PageNo: c.Page, PageSize: c.Size,
			})
			return map[string]any{"count": found.Count, "names": found.Doms}, err
		},
		"subscribe": func(c command) (any, error) {
			param := &vo.SubscribeParam{
				ServiceName: c.Service, Clusters: c.Clusters, GroupName: c.Group,
				SubscribeCallback: func(services []model.Instance, err error) {
					if err != nil {
						fmt.Fprintln(os.Stderr, "subscription:", err)
						return
					}
					d.send(map[string]any{"event": "hosts", "tag": c.Tag, "hosts": hosts(services)})
				},
			}
			d.subscriptions[c.Tag] = param
			return nil, d.naming.Subscribe(param)
		},
		"unsubscribe": func(c command) (any, error) {
			param := d.subscriptions[c.Tag]
			delete(d.subscriptions, c.Tag)
			return nil, d.naming.Unsubscribe(param)
		},
		"publish": func(c command) (any, error) {
			return d.config.PublishConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group, Content: c.Content, Type: c.Type})
		},
		"cas": func(c command) (any, error) {
			done, err := d.config.PublishConfig(vo.ConfigParam{
				DataId: c.DataId, Group: c.Group, Content: c.Content, CasMd5: c.Md5,
			})
			// The SDK reports a lost comparison as false and the server's text; every other error stays one.
			if err != nil && strings.HasPrefix(err.Error(), "Cas publish fail") {
				return done, nil
			}
			return done, err
		},
		"get": func(c command) (any, error) {
			content, err := d.config.GetConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
			if content == "" {
				return nil, err
			}
			return content, err
		},
		"remove": func(c command) (any, error) {
			return d.config.DeleteConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		"listen": func(c command) (any, error) {
			return nil, d.config.ListenConfig(vo.ConfigParam{
				DataId: c.DataId, Group: c.Group,
				OnChange: func(_, _, _, content string) {
					d.send(map[string]any{"event": "config", "tag": c.Tag, "content": content})
				},
			})
		},
		"unlisten": func(c command) (any, error) {
			return nil, d.config.CancelListenConfig(vo.ConfigParam{DataId: c.DataId, Group: c.Group})
		},
		"status": func(command) (any, error) {
			if d.naming.ServerHealthy() {
				return "UP", nil
			}
			return "DOWN", nil
		},
		"shutdown": func(command) (any, error) {
			d.naming.CloseClient()
			d.config.CloseClient()
			return nil, nil
		},
	}
}

func registration(c command, i instance) vo.RegisterInstanceParam {
	return vo.RegisterInstanceParam{
		Ip: i.Ip, Port: i.Port, Weight: i.Weight, Enable: i.Enabled, Healthy: true, Metadata: i.Metadata,
		ClusterName: i.Cluster, ServiceName: c.Service, GroupName: c.Group, Ephemeral: i.Ephemeral,
	}
}

func hosts(found []model.Instance) []instance {
	all := make([]instance, 0, len(found))
	for _, i := range found {
		all = append(all, host(i))
	}
	return all
}

func host(i model.Instance) instance {
	return instance{
		Ip: i.Ip, Port: i.Port, Weight: i.Weight, Healthy: i.Healthy, Enabled: i.Enable,
		Ephemeral: i.Ephemeral, Cluster: i.ClusterName, Metadata: i.Metadata,
	}
}
