// A client in Go that goes through its main life against the broker at the URL it is given, and says "done".
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const messages = 200

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(url string) (*amqp.Connection, *amqp.Channel) {
	connection, err := amqp.Dial(url)
	must(err)
	channel, err := connection.Channel()
	must(err)
	return connection, channel
}

func main() {
	url := os.Args[1]
	connection, channel := open(url)
	declare(channel)
	publish(channel)
	consume(channel)
	refused(connection, channel)
	must(connection.Close())
	again, second := open(url)
	queue, err := second.QueueDeclarePassive("go", true, false, false, false, nil)
	must(err)
	if queue.Messages != 0 {
		log.Fatalf("%d messages are left", queue.Messages)
	}
	must(again.Close())
	fmt.Println("done")
}

func declare(channel *amqp.Channel) {
	must(channel.ExchangeDeclare("go.orders", "topic", true, false, false, false, nil))
	arguments := amqp.Table{"x-message-ttl": int32(600000), "x-queue-type": "classic"}
	_, err := channel.QueueDeclare("go", true, false, false, false, arguments)
	must(err)
	must(channel.QueueBind("go", "new.#", "go.orders", false, nil))
}

func publish(channel *amqp.Channel) {
	must(channel.Confirm(false))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, messages+1))
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for number := 0; number < messages; number++ {
		message := amqp.Publishing{
			DeliveryMode: amqp.Persistent,
			Headers:      amqp.Table{"number": int32(number), "nested": amqp.Table{"at": time.Unix(1700000000, 0)}},
			Body:         []byte(fmt.Sprint(number)),
		}
		must(channel.PublishWithContext(ctx, "go.orders", fmt.Sprintf("new.%d", number), true, false, message))
	}
	must(channel.PublishWithContext(ctx, "", "go.nowhere", true, false, amqp.Publishing{Body: []byte("lost")}))
	if returned := <-returns; returned.ReplyCode != amqp.NoRoute {
		log.Fatalf("returned with %d", returned.ReplyCode)
	}
	for number := 0; number <= messages; number++ {
		if confirm := <-confirms; !confirm.Ack || confirm.DeliveryTag != uint64(number+1) {
			log.Fatalf("confirm %v instead of %d", confirm, number+1)
		}
	}
}

func consume(channel *amqp.Channel) {
	must(channel.Qos(20, 0, false))
	deliveries, err := channel.Consume("go", "reader", false, false, false, false, nil)
	must(err)
	for number := 0; number < messages; number++ {
		delivery := <-deliveries
		if string(delivery.Body) != fmt.Sprint(number) {
			log.Fatalf("%s came instead of %d", delivery.Body, number)
		}
		if number == messages-1 && !delivery.Redelivered {
			must(delivery.Nack(false, true))
			number--
			continue
		}
		must(delivery.Ack(number%10 == 9))
	}
	must(channel.Cancel("reader", false))
}

// A declaration that differs closes the channel with 406, and nothing else.
func refused(connection *amqp.Connection, channel *amqp.Channel) {
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	_, err := channel.QueueDeclare("go", true, false, false, false, amqp.Table{"x-message-ttl": int32(1)})
	if failure, isOne := err.(*amqp.Error); !isOne || failure.Code != amqp.PreconditionFailed {
		log.Fatalf("the wrong declaration got %v", err)
	}
	<-closed
	another, err := connection.Channel()
	must(err)
	must(another.Close())
}
