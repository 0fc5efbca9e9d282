using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Tests.Fixtures;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Tests.Transmissions;

public sealed class CommandTests
{
    private const ulong Size = TestServer.SizeBytes;

    [Theory]
    [InlineData(1)]
    [InlineData(512)]
    [InlineData(4096)]
    [InlineData(16 * 1024)]
    [InlineData((16 * 1024) + 1)]
    [InlineData(131072)]
    [InlineData(5_000_001)]
    public async Task What_is_written_is_read_back_at_any_size_and_offset(int length)
    {
        await using TestServer server = await TestServer.StartAsync();
        byte[] payload = new byte[length];
        new Random(length).NextBytes(payload);
        using RawClient client = server.Attach();
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 777, (uint)length, 0, payload));
        Assert.Equal(payload, client.ReadExport(777, length));
        Assert.Equal(payload, server.Device.Bytes.AsSpan(777, length).ToArray());
    }

    // Goal: requests above what is advertised but within 64 MiB are served, as clients that never ask send them.
    [Fact]
    public async Task Payloads_of_fifty_megabytes_are_served()
    {
        const int Length = 49_865_728;
        await using TestServer server = await TestServer.StartAsync(null, null, TestServer.Export("disk", 64 * 1024 * 1024));
        byte[] payload = new byte[Length];
        new Random(1).NextBytes(payload);
        using RawClient client = server.Attach();
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 1, Length, 0, payload));
        Assert.True(payload.AsSpan().SequenceEqual(client.ReadExport(1, Length)));
    }

    [Fact]
    public async Task Each_command_reaches_the_device_with_its_range_and_force_flag()
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.KeepsLog = true;
        using RawClient client = server.Attach();
        const CommandFlags Fua = CommandFlags.ForceUnitAccess;
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 10, 3, 0, 1, 2, 3));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 20, 3, Fua, 1, 2, 3));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Trim, 30, 4096, Fua));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.WriteZeroes, 0, (uint)Size, CommandFlags.NoHole | CommandFlags.FastZero | Fua));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.WriteZeroes, 1, 2));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Cache, 40, 5, Fua));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0, Fua));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Read, 50, 1, Fua));
        Assert.Equal(
            [
                "write 10 3", "write 20 3 fua", "zero 30 4096 fua", $"zero 0 {Size} fua", "zero 1 2", "prefetch 40 5",
                "flush 0 0", "read 50 1",
            ],
            server.Device.Log);
    }

    // Goal: every command that must fail does so with the code of the book, and the stream stays in step: a write
    // behind it is understood.
    [Theory]
    [InlineData(0, 0, Size, 1u, NbdError.Invalid)]
    [InlineData(0, 0, Size - 1, 2u, NbdError.Invalid)]
    [InlineData(0, 0, ulong.MaxValue, 1u, NbdError.Invalid)]
    [InlineData(0, 0, ulong.MaxValue - 1, 4u, NbdError.Invalid)]
    [InlineData(0, 0, (ulong)long.MaxValue, uint.MaxValue, NbdError.Invalid)]
    [InlineData(0, 0, 0, (64u * 1024 * 1024) + 1, NbdError.Invalid)]
    [InlineData(0, 2, 0, 1u, NbdError.Invalid)]
    [InlineData(0, 4, 0, 1u, NbdError.Invalid)]
    [InlineData(0, 0x8000, 0, 1u, NbdError.Invalid)]
    [InlineData(3, 2, 0, 0u, NbdError.Invalid)]
    [InlineData(4, 0, Size, 1u, NbdError.Invalid)]
    [InlineData(4, 0, 0, uint.MaxValue, NbdError.Invalid)]
    [InlineData(4, 2, 0, 1u, NbdError.Invalid)]
    [InlineData(5, 0, Size, 1u, NbdError.Invalid)]
    [InlineData(5, 2, 0, 1u, NbdError.Invalid)]
    [InlineData(6, 0, Size, 1u, NbdError.NoSpace)]
    [InlineData(6, 0, 0, uint.MaxValue, NbdError.NoSpace)]
    [InlineData(6, 0, ulong.MaxValue, uint.MaxValue, NbdError.NoSpace)]
    [InlineData(6, 4, 0, 1u, NbdError.Invalid)]
    [InlineData(7, 0, 0, 1u, NbdError.Invalid)]
    [InlineData(8, 0, 0, 1u, NbdError.Invalid)]
    [InlineData(999, 0, 0, 1u, NbdError.Invalid)]
    internal async Task Requests_without_payload_are_refused_by_the_book(
        int command, int flags, ulong offset, uint length, NbdError expected)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Attach();
        Assert.Equal(expected, client.Call((NbdCommand)command, offset, length, (CommandFlags)flags));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Write, 0, 1, 0, 9));
        Assert.Equal(1, server.Device.Started);
    }

    [Theory]
    [InlineData(0, Size, 1000, NbdError.NoSpace)]
    [InlineData(0, Size - 999, 1000, NbdError.NoSpace)]
    [InlineData(0, ulong.MaxValue, 200_000, NbdError.NoSpace)]
    [InlineData(0, ulong.MaxValue - 999, 1000, NbdError.NoSpace)]
    [InlineData(2, 0, 1000, NbdError.Invalid)]
    [InlineData(0x10, 0, 200_000, NbdError.Invalid)]
    [InlineData(0x8000, 0, 1, NbdError.Invalid)]
    [InlineData(0, 0, (64 * 1024 * 1024) + 1, NbdError.Invalid)]
    internal async Task The_payload_of_a_refused_write_is_drained(int flags, ulong offset, int length, NbdError expected)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Attach();

        // The payload is made of requests: a server that does not drain it would answer them.
        byte[] trap = RawClient.RequestBytes(3, 0xBAD, 0, 0);
        byte[] payload = new byte[length];
        for (int i = 0; i + trap.Length <= length; i += trap.Length) trap.CopyTo(payload, i);
        Assert.Equal(expected, client.Call(NbdCommand.Write, offset, (uint)length, (CommandFlags)flags, payload));
        Assert.Equal(new byte[3], client.ReadExport(0, 3));
        Assert.Equal(1, server.Device.Started);
    }

    [Fact]
    public async Task A_read_only_export_refuses_what_would_change_it_and_drains_payloads()
    {
        await using TestServer server = await TestServer.StartAsync(null, null, TestServer.Export("ro", isReadOnly: true));
        using RawClient client = server.Attach("ro");
        Assert.Equal(NbdError.NotPermitted, client.Call(NbdCommand.Write, 0, 70_000, 0, new byte[70_000]));
        Assert.Equal(NbdError.NotPermitted, client.Call(NbdCommand.Trim, 0, 1));
        Assert.Equal(NbdError.NotPermitted, client.Call(NbdCommand.WriteZeroes, 0, 1));
        Assert.Equal(NbdError.None, client.Call(NbdCommand.Flush, 0, 0));
        Assert.Equal(new byte[3], client.ReadExport(0, 3));
    }

    [Theory]
    [InlineData(NbdCommand.Read)]
    [InlineData(NbdCommand.Write)]
    [InlineData(NbdCommand.Trim)]
    [InlineData(NbdCommand.Cache)]
    [InlineData(NbdCommand.WriteZeroes)]
    internal async Task Nothing_at_all_succeeds_up_to_the_end_and_does_not_disconnect(NbdCommand command)
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Attach();
        Assert.Equal(NbdError.None, client.Call(command, 0, 0));
        Assert.Equal(NbdError.None, client.Call(command, Size, 0));
        Assert.NotEqual(NbdError.None, client.Call(command, Size + 1, 0));
        Assert.Equal(0, server.Device.Started);
    }

    public static TheoryData<string, uint> Faults => new()
    {
        { nameof(FaultKind.Unavailable), 5 },
        { nameof(FaultKind.Fenced), 5 },
        { nameof(FaultKind.Corrupt), 5 },
        { nameof(FaultKind.Full), 28 },
        { nameof(FaultKind.Invalid), 22 },
        { nameof(FaultKind.Denied), 1 },
        { nameof(FaultKind.Closing), 108 },
        { "timeout", 5 },
        { "range", 22 },
    };

    // Goal: a failure has a code of the protocol whatever it was, no payload follows it, and no buffer is lost.
    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Failures_of_the_device_become_codes_of_the_protocol(string fault, uint code)
    {
        await using TestServer server = await TestServer.StartAsync();
        server.Device.Fault = _ => fault switch
        {
            "timeout" => new TimeoutException("unforeseen"),
            "range" => new ArgumentOutOfRangeException(nameof(fault)),
            _ => new StorageFaultException(Enum.Parse<FaultKind>(fault), "as told"),
        };
        using RawClient client = server.Attach();
        Assert.Equal((NbdError)code, client.Call(NbdCommand.Read, 0, 100_000));
        Assert.Equal((NbdError)code, client.Call(NbdCommand.Write, 0, 5, 0, 1, 2, 3, 4, 5));
        Assert.Equal((NbdError)code, client.Call(NbdCommand.Flush, 0, 0));
        Assert.Equal((NbdError)code, client.Call(NbdCommand.Trim, 0, 1));
        server.Device.Fault = null;
        Assert.Equal(new byte[3], client.ReadExport(0, 3));
    }

    [Fact]
    public async Task A_wrong_request_magic_drops_the_connection()
    {
        await using TestServer server = await TestServer.StartAsync();
        using RawClient client = server.Attach();
        client.Send(new byte[28]);
        Assert.True(client.IsClosedByServer());
    }
}
