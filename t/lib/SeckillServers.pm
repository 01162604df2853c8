package SeckillServers;

# Further redis-servers, Sentinels and a name server, for suites about a Redis that
# moves. Each listens on an address of the loopback network; all end with the suite.

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

use SeckillRedis qw(redis_at folder offer);
use SeckillSign qw(now_ms);

our @EXPORT_OK = qw(free_port server relay sentinel name_server end_server ask sell certificates);

my ($owner, @running) = ($$);

# A port that nobody uses, on any address of the loopback network, and neither the one
# 10,000 above, where a node of a Cluster talks to the others: both below those that the
# system gives to clients.
sub free_port {
    for (1 .. 100) {
        my $port = 12000 + int rand 10000;
        my @free = map { IO::Socket::INET->new(Listen => 1, LocalAddr => '0.0.0.0', LocalPort => $_) } $port, $port + 10000;
        return $port if @free == grep { defined } @free;
    }
    die "no free port: $!\n";
}

sub _run {
    my ($name, $address, $port, @command) = @_;
    my $pid = fork // die "cannot fork: $!";
    if (!$pid) {
        open STDOUT, '>', folder() . "/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    my $server = { name => $name, pid => $pid, address => $address, port => $port, at => "$address:$port" };
    push @running, $server;
    return $server;
}

sub _wait_for {
    my ($server, @command) = @_;
    my $deadline = time + 60;
    until (eval { ask($server, @command); 1 } || $@ =~ /^redis: /) {
        die "$$server{name} did not start; see " . folder() . "/$$server{name}.log\n"
            if time > $deadline || waitpid($$server{pid}, WNOHANG) == $$server{pid};
        sleep 0.01;
    }
    return $server;
}

# Starts a redis-server at ADDRESS:PORT with these arguments, and empties it.
sub server {
    my ($address, $port, @arguments) = @_;
    my $name = "redis-$address-$port";
    mkdir folder() . "/$name";
    my $server = _run($name, $address, $port, 'redis-server', '--bind', $address, '--port', $port,
        '--dir', folder() . "/$name", '--save', '', '--repl-diskless-sync-delay', 0,
        '--enable-protected-configs', 'yes', '--enable-debug-command', 'yes', @arguments);
    return "@arguments" =~ /--(?:tls-port|requirepass|user) / ? $server : _wait_for($server, 'PING');
}

# Starts a Sentinel that watches the master under this name; one Sentinel decides.
sub sentinel {
    my ($address, $port, $name, $master) = @_;
    my $file = folder() . "/sentinel-$port.conf";
    open my $out, '>', $file or die "$file: $!\n";
    print $out "bind $address\nport $port\nsentinel monitor $name $$master{address} $$master{port} 1\n",
        "sentinel down-after-milliseconds $name 200\nsentinel failover-timeout $name 2000\n";
    close $out;
    return _wait_for(_run("sentinel-$port", $address, $port, 'redis-server', $file, '--sentinel'), 'PING');
}

sub end_server {
    my ($server, $signal) = @_;
    return unless delete $$server{connection}, $$server{pid} && $owner == $$;
    kill $signal // 'TERM', $$server{pid};
    kill 'CONT', $$server{pid};
    waitpid $$server{pid}, 0;
    undef $$server{pid};
    return;
}

# Sends one command to a server. A Sentinel closes the connections of a server that
# it promotes or demotes; then the command is sent once more.
sub ask {
    my ($server, @words) = @_;
    for my $last (0, 1) {
        $$server{connection} //= IO::Socket::INET->new(PeerAddr => $$server{address}, PeerPort => $$server{port})
            // die "cannot connect to $$server{name}: $!\n";
        my $reply = eval { redis_at($$server{connection}, @words) };
        my $error = $@ or return $reply;
        delete $$server{connection} if $error =~ /closed/;
        die $error if $last || $error !~ /closed/;
    }
}

# Empties a server and puts product 153 of round 1 on sale there.
sub sell {
    my ($server, $limit) = @_;
    ask($server, 'FLUSHALL');
    local $SeckillRedis::elsewhere = $$server{connection};
    offer('1', '153', opens => now_ms() - 10_000, ends => now_ms() + 3_600_000, limit => $limit // 1000);
    return;
}

# Passes everything on to a server, and calls $before->($command) with the bytes of each
# command first, in a process of its own: what happens between two commands of a client.
sub relay {
    my ($server, $before) = @_;
    my $port = free_port();
    my $listening = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
        or die "no relay: $!\n";
    my $pid = fork // die "cannot fork: $!";
    if (!$pid) {
        delete $$server{connection};
        my ($ready, %other, %is_client) = IO::Select->new($listening);
        while (1) {
            for my $from ($ready->can_read) {
                if ($from == $listening) {
                    my $client = $listening->accept or next;
                    my $behind = IO::Socket::INET->new(PeerAddr => $$server{address}, PeerPort => $$server{port}) or next;
                    ($other{$client}, $other{$behind}, $is_client{$client}) = ($behind, $client, 1);
                    $ready->add($client, $behind);
                    next;
                }
                my $to = $other{$from} or next;
                my $length = sysread $from, my $bytes, 65536;
                if (!$length) {
                    delete @other{$from, $to};
                    $ready->remove($from, $to);
                    close $_ for $from, $to;
                    next;
                }
                $before->($bytes) if $is_client{$from};
                syswrite $to, $bytes;
            }
        }
    }
    push @running, { name => 'relay', pid => $pid };
    return "127.0.0.1:$port";
}

# Starts a name server that gives for every name the addresses in a file, read anew
# for each question.
sub name_server {
    my ($address, $port, $file) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Proto => 'udp') or die "no name server: $!\n";
    my $pid = fork // die "cannot fork: $!";
    if (!$pid) {
        while (defined(my $from = $socket->recv(my $query, 512))) {
            my ($id) = unpack 'n', $query;
            my $question = substr $query, 12;
            my ($type) = unpack 'n', substr $question, -4, 2;
            open my $in, '<', $file;
            my @addresses = $type == 1 ? map { /^([\d.]+)$/ ? $1 : () } <$in> : ();
            my $answers = join '', map { pack 'n n n N n C4', 0xc00c, 1, 1, 1, 4, split /\./ } @addresses;
            $socket->send(pack('n6', $id, 0x8180, 1, scalar @addresses, 0, 0) . $question . $answers, 0, $from);
        }
        POSIX::_exit(0);
    }
    push @running, { name => 'name server', pid => $pid };
    return;
}

# Makes an authority and certificates for 127.0.0.1 and for a client, in a folder.
sub certificates {
    my ($folder) = @_;
    mkdir $folder;
    my $quietly = sub { system("@_ >/dev/null 2>&1") == 0 or die "failed: @_\n" };
    my $new_key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
    $quietly->("openssl req -x509 $new_key -subj /CN=Test-Authority -days 2 -keyout $folder/ca.key -out $folder/ca.pem",
        '-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign');
    for ([server => 'subjectAltName=IP:127.0.0.1,DNS:redis.internal'], [client => 'subjectAltName=DNS:edge.internal']) {
        my ($name, $extension) = @$_;
        open my $out, '>', "$folder/$name.ext" or die "$folder: $!\n";
        print $out "$extension\n";
        close $out;
        $quietly->("openssl req $new_key -subj /CN=$name -keyout $folder/$name.key -out $folder/$name.csr");
        $quietly->("openssl x509 -req -in $folder/$name.csr -CA $folder/ca.pem -CAkey $folder/ca.key -CAcreateserial",
            "-days 2 -extfile $folder/$name.ext -out $folder/$name.pem");
        chmod 0640, "$folder/$name.key";
    }
    return $folder;
}

END {
    local $?;
    for my $server (grep { $$_{pid} } @running) {
        end_server($server, 'KILL');
    }
}

1;
