// Package protocol is the drivers' side of the conversation with the runner: JSON commands on standard input, replies and
// events on standard output. What the operations mean stands in tests/compat/README.md.
package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// Target is the server, and as whom to speak to it.
type Target struct {
	Host      string `json:"host"`
	Port      uint64 `json:"port"`
	GrpcPort  uint64 `json:"grpcPort"`
	Namespace string `json:"namespace"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

// Instance is what registers, and what lists and pushes are made of.
type Instance struct {
	Ip        string            `json:"ip"`
	Port      uint64            `json:"port"`
	Weight    float64           `json:"weight"`
	Healthy   bool              `json:"healthy"`
	Enabled   bool              `json:"enabled"`
	Ephemeral bool              `json:"ephemeral"`
	Cluster   string            `json:"cluster"`
	Metadata  map[string]string `json:"metadata"`
}

// Command has the arguments of every operation; each uses its own.
type Command struct {
	Id        int        `json:"id"`
	Op        string     `json:"op"`
	Service   string     `json:"service"`
	Group     string     `json:"group"`
	Clusters  []string   `json:"clusters"`
	Instance  Instance   `json:"instance"`
	Instances []Instance `json:"instances"`
	Page      uint32     `json:"page"`
	Size      uint32     `json:"size"`
	Tag       string     `json:"tag"`
	DataId    string     `json:"dataId"`
	Content   string     `json:"content"`
	Type      string     `json:"type"`
	Md5       string     `json:"md5"`
}

// Operation carries out one command.
type Operation func(c Command) (any, error)

var (
	lock sync.Mutex
	out  = os.Stdout
)

// Run creates the clients, obeys commands until there are no more or one says `shutdown`, and ends the process.
func Run(connect func(Target) (map[string]Operation, error)) {
	os.Stdout = os.Stderr // for an SDK that talks
	var to Target
	if err := json.Unmarshal([]byte(os.Args[1]), &to); err != nil {
		end("no server to talk to:", err)
	}
	ops, err := connect(to)
	if err != nil {
		end("cannot create the clients:", err)
	}
	names := make([]string, 0, len(ops))
	for name := range ops {
		names = append(names, name)
	}
	send(map[string]any{"event": "hello", "ops": names})

	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var c Command
		if err := json.Unmarshal(line, &c); err != nil {
			end("not a command:", err)
		}
		obey(ops, c)
		if c.Op == "shutdown" {
			os.Exit(0)
		}
	}
}

// Hosts reports what a subscription was pushed.
func Hosts(tag string, hosts any) {
	send(map[string]any{"event": "hosts", "tag": tag, "hosts": hosts})
}

// Config reports what a listener was told.
func Config(tag, content string) {
	send(map[string]any{"event": "config", "tag": tag, "content": content})
}

// Content is a config as the runner expects it: absent ones, empty for the SDK, are null.
func Content(content string, err error) (any, error) {
	if content == "" {
		return nil, err
	}
	return content, err
}

func end(what string, err error) {
	fmt.Fprintln(os.Stderr, what, err)
	os.Exit(1)
}

func obey(ops map[string]Operation, c Command) {
	reply := map[string]any{"id": c.Id, "ok": true}
	run, known := ops[c.Op]
	if !known {
		run = func(Command) (any, error) { return nil, errors.New("not offered: " + c.Op) }
	}
	if value, err := run(c); err != nil {
		reply["ok"] = false
		reply["error"] = err.Error()
	} else {
		reply["value"] = value
	}
	send(reply)
}

func send(message map[string]any) {
	line, err := json.Marshal(message)
	if err != nil {
		end("cannot report:", err)
	}
	lock.Lock()
	defer lock.Unlock()
	out.Write(append(line, '\n'))
}
