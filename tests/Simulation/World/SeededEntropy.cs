using ZeroFlow.Stages.Keys;

namespace ZeroFlow.Simulation.World;

/// <summary>Keys, salts and sessions from the seed of the run.</summary>
internal sealed class SeededEntropy(SimulatedWorld world) : IEntropy
{
    public void Fill(Span<byte> bytes) => world.Random.NextBytes(bytes);
}
