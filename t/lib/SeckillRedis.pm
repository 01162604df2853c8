package SeckillRedis;

# A private redis-server on a unix socket, as long as the suite runs, and the
# few words of its protocol that the suites need.

use strict;
use warnings;

use Exporter qw(import);
use File::Temp ();
use IO::Socket::UNIX;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(redis redis_at redis_start redis_stop redis_freeze redis_thaw freeze socket_path folder offer);

# Sockets live under /tmp: a unix socket's path must stay below 108 bytes.
my $folder = File::Temp->newdir('seckill-t-XXXXXX', TMPDIR => 1);
my ($pid, $owner, $connection);

# Where sockets and keys of this suite are.
sub folder ()      {"$folder"}
sub socket_path () {"$folder/redis.sock"}

sub _connect {
    return IO::Socket::UNIX->new(Peer => socket_path());
}

# Starts the server, with what it held before if it was stopped by redis_stop.
sub redis_start {
    return if $pid;
    unlink socket_path();
    $owner = $$;
    $pid   = fork // die "cannot fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$folder/redis.log";
        open STDERR, '>&', \*STDOUT;
        exec 'redis-server', '--port', 0, '--unixsocket', socket_path(), '--unixsocketperm', 777,
            '--dir', "$folder", '--save', '', '--appendonly', 'yes', '--daemonize', 'no'
            or POSIX::_exit(127);
    }
    my $deadline = time + 10;
    until (eval { redis('PING') eq 'PONG' }) {
        die "redis-server did not start; see $folder/redis.log\n"
            if time > $deadline || waitpid($pid, WNOHANG) == $pid;
        sleep 0.01;
    }
    return;
}

# Ends the server with a signal (default TERM: it keeps what it holds).
sub redis_stop {
    my $signal = shift // 'TERM';
    return unless $pid && $owner == $$;
    undef $connection;
    kill $signal, $pid;
    # A stopped (SIGSTOP) server must run again to see the signal.
    kill 'CONT', $pid;
    waitpid $pid, 0;
    undef $pid;
    return;
}

# Stops a process (SIGSTOP), its connections open, and returns when no thread of
# it runs any more: kill(2) returns while a thread on another core still does, and
# what it is asked then it may answer.
sub freeze {
    my ($frozen) = @_;
    kill 'STOP', $frozen or die "process $frozen cannot be stopped: $!\n";
    my $deadline = time + 10;
    while (grep { _state($_) =~ /[^TtZX]/ } glob "/proc/$frozen/task/*/stat") {
        die "process $frozen still runs 10 s after SIGSTOP\n" if time > $deadline;
        sleep 0.001;
    }
    return;
}

# The state letter of a thread, "X" when it is gone: the word after the name in
# parentheses, which may hold anything.
sub _state {
    my ($file) = @_;
    open my $stat, '<', $file or return 'X';
    return (readline($stat) // '') =~ /.*\) (\w)/s ? $1 : 'X';
}

my $is_frozen;

sub redis_freeze () {
    $is_frozen = 1;
    return freeze($pid);
}

sub redis_thaw () {
    undef $is_frozen;
    return kill 'CONT', $pid;
}

sub _reply {
    my ($from) = @_;
    local $/ = "\r\n";
    my $line = <$from> // die "redis closed the connection\n";
    chomp $line;
    my ($kind, $rest) = (substr($line, 0, 1), substr $line, 1);
    die "redis: $rest\n" if $kind eq '-';
    return $rest         if $kind eq '+' || $kind eq ':';
    return               if $rest < 0;
    return [map { scalar _reply($from) } 1 .. $rest] if $kind eq '*';
    read $from, my $text, $rest + 2;
    return substr $text, 0, $rest;
}

# A connection to another server; while it is set, commands go there.
our $elsewhere;

# Sends one command over a connection and returns its reply.
sub redis_at {
    my ($to, @words) = @_;
    local $SIG{PIPE} = 'IGNORE';
    print $to join '', '*' . @words . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $to->flush;
    return _reply($to);
}

# Sends one command and returns its reply: redis('HGET', $key, $field).
sub redis {
    my @words = @_;
    return redis_at($elsewhere, @words) if $elsewhere;
    # It would wait for ever.
    die "redis is frozen: redis_thaw comes before @words\n" if $is_frozen;
    $connection //= _connect() // die "cannot connect to redis: $!\n";
    my $reply = eval { redis_at($connection, @words) };
    if (my $error = $@) {
        undef $connection if $error =~ /closed/;
        die $error;
    }
    return $reply;
}

# Puts a product up for sale, as an approval does:
# offer($round, $product, opens => ms, ends => ms, limit => n, per_buyer => n); with
# halt => 'paused' or 'withdrawn', as the stop switch leaves it.
sub offer {
    my ($round, $product, %of) = @_;
    my $item = "${round}::$product";
    my %entry = (
        opens_ms => $of{opens}, ends_ms => $of{ends}, limit => $of{limit} // 10,
        per_buyer => $of{per_buyer} // 1, segments => $of{segments} // 1, price_cents => 99_900,
    );
    my @halt = $of{halt} ? qq("halt":"$of{halt}") : ();
    my $json = '{' . join(',', (map {qq("$_":$entry{$_})} sort keys %entry), @halt) . '}';
    redis(
        'HSET', "seckill::{$item}::info",
        round     => $round, product => $product, title => "Product $product",
        amount    => $entry{limit}, limit => $entry{limit}, per_buyer => $entry{per_buyer},
        segments  => $entry{segments}, price_cents => $entry{price_cents},
        list_price_cents => 399_900, position => 1,
        starts_ms => $of{opens}, ends_ms => $of{ends},
    );
    redis('HSET', 'seckill::catalogue', $item, $json);
    redis('HINCRBY', 'seckill::catalogue', 'version', 1);
    return;
}

END {
    local $?;
    redis_stop('KILL');
}

1;
