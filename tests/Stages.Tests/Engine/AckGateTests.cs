using Microsoft.Extensions.Logging.Abstractions;
using Xunit;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Engine;
using ZeroFlow.TestKit.Engine;

namespace ZeroFlow.Stages.Tests.Engine;

public sealed class AckGateTests : IDisposable
{
    private static readonly TimeSpan Threshold = TimeSpan.FromHours(1);

    private readonly ElasticTimeProvider _time = new(1);
    private readonly StoreSupervisor _supervisor = new(NullLogger.Instance);
    private readonly List<TaskCompletionSource> _proofs = [];

    public void Dispose() => _supervisor.Dispose();

    [Fact]
    public void Without_a_stall_the_gate_is_open()
    {
        using AckGate gate = NewGate();
        _time.Skip(Threshold / 2);
        Assert.True(gate.PassAsync().AsTask().IsCompletedSuccessfully);
        Assert.Empty(_proofs);
    }

    // All who acknowledge look at the clock at once, and one of them closes the gate: nobody slips through meanwhile.
    [Fact]
    public void Nobody_passes_while_another_closes_the_gate()
    {
        const int Threads = 4;
        for (int round = 0; round < 300; round++)
        {
            using AckGate gate = NewGate();
            using var together = new Barrier(Threads);
            Task[] passes = new Task[Threads];
            _time.Skip(Threshold * 2);
            Thread[] threads = [.. Enumerable.Range(0, Threads).Select(i => new Thread(() =>
            {
                together.SignalAndWait();
                passes[i] = gate.PassAsync().AsTask();
            }))];
            foreach (Thread thread in threads) thread.Start();
            foreach (Thread thread in threads) thread.Join();
            Assert.All(passes, pass => Assert.False(pass.IsCompleted));
        }
    }

    // The answer of the bucket is as old as the second stall: it says nothing about what happened during it.
    [Fact]
    public async Task A_proof_that_was_under_way_during_another_stall_is_made_again()
    {
        using AckGate gate = NewGate();
        _time.Skip(Threshold * 2);
        Task pass = gate.PassAsync().AsTask();
        TaskCompletionSource first = await ProofAsync(1);
        _time.Skip(Threshold * 2);
        first.SetResult();
        TaskCompletionSource second = await ProofAsync(2);
        Assert.False(pass.IsCompleted);
        Assert.True(gate.IsClosed);
        second.SetResult();
        await pass.WaitAsync(StoreBench.Soon, StoreBench.Cancellation);
        Assert.False(gate.IsClosed);
        Assert.True(gate.PassAsync().AsTask().IsCompletedSuccessfully);
    }

    [Fact]
    public async Task A_failed_proof_closes_the_gate_for_good_and_stops_the_store()
    {
        using AckGate gate = NewGate();
        _time.Skip(Threshold * 2);
        Task pass = gate.PassAsync().AsTask();
        (await ProofAsync(1)).SetException(StorageFaultException.Fenced("Another server took over."));
        await Assert.ThrowsAsync<StorageFaultException>(() => pass.WaitAsync(StoreBench.Soon, StoreBench.Cancellation));
        await Assert.ThrowsAsync<StorageFaultException>(() => gate.PassAsync().AsTask());
        Assert.Equal(FaultKind.Fenced, (await _supervisor.Fatal).Kind);
    }

    private AckGate NewGate() => new(_time, Threshold, ProveAsync, _supervisor, NullLogger.Instance);

    private Task ProveAsync(CancellationToken cancellation)
    {
        var proof = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_proofs) _proofs.Add(proof);
        return proof.Task;
    }

    private async Task<TaskCompletionSource> ProofAsync(int count)
    {
        for (int i = 0; i < 3000; i++)
        {
            lock (_proofs)
            {
                if (_proofs.Count >= count) return _proofs[count - 1];
            }

            await Task.Delay(10, StoreBench.Cancellation);
        }

        throw new TimeoutException($"Proof {count} was never asked for.");
    }
}
